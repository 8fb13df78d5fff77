"""The review page: every scene of a cue sheet to be seen, heard and chosen in a browser."""
