"""Model packs: CLIP that sees, CLAP that hears, AudioLDM that generates."""
