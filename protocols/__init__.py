"""Floor 1: the common language of sandtime: cells, protocols, programs, measurements and records."""
