"""Floor 2: pure functions on arrays. No I/O, no state but what a caller holds."""
