"""Measures what design.md promises in *Numbers to reach*. ``python -m benchmarks``; nothing here is a test."""
