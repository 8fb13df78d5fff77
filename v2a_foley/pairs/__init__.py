"""Pairs of what is seen and what is heard, as embeddings: what mappers learn from."""
