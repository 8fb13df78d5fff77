"""Video and sound files: probing, the one decoding pass and its consumers, audio, muxing.

Nothing is imported here: each module pulls in its own heavy library (PyAV, OpenCV, soxr).
"""
