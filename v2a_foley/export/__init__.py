"""Hand-over to other programs: broadcast WAV stems, timelines, and a record of how all was made."""
