"""The real daemon under the load of a large lab, with faults: ``make bench-load``."""
