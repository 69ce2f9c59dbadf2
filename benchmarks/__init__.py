"""Measures what design.md promises in *Numbers to reach*. ``python -m benchmarks``; no test."""
