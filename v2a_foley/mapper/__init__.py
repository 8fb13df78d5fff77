"""The mapper: CLIP embeddings in, CLAP embeddings out. The method's one trained part."""
