"""Many spectra of one cell: what each of its processes does over time."""
