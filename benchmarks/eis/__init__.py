"""Impedance libraries side by side: the same spectra, the same measures, one table."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
"""Before numpy is imported: CPU times hold for one core."""
