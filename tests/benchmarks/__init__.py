"""Measurements, not collected by the test command: ``python -m tests.benchmarks NAME``.

Figures are ratios against a stated baseline of the same run wherever there is one.
"""
