"""Floor 2: instruments behind one interface, recordings that play, and simulated instruments."""
