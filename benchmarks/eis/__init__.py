"""Impedance libraries side by side: the same spectra, the same measures, one table."""
