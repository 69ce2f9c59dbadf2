"""Months of a lab, simulated: every run is accounted for at the end. ``python -m benchmarks.soak``."""
