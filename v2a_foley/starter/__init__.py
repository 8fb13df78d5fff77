"""The embedded model pack (``pack``) and the recipe that trains it (``recipe``)."""
