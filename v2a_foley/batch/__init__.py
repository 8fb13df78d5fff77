"""Many videos: planned, made by workers, recorded in a ledger that outlives any crash."""
