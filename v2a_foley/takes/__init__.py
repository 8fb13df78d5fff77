"""Takes: what a scene is to sound like, the sounds made for it, and which of them is kept."""
