"""Simulated cells, and simulated instruments as server processes that outlive their hosts."""
