"""The recipe of the starter pack: ``python -m v2a_foley.starter.recipe DATA WORK``."""
