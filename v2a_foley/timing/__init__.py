"""Timing: onsets of picture and sound, and sounds laid on what happens."""
