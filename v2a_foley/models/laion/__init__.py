"""LAION's CLAP: its checkpoints read without pickle, converted, or run by laion_clap itself."""
