"""The command ``sandtime``. Kept free of imports: it first makes sure that our own packages are found."""

from __future__ import annotations

import os
import sys
from pathlib import Path

BLAS_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main() -> None:
    """Run the command line and exit with its code (design: The command line)."""
    for name in BLAS_THREADS:
        # Our matrices are small: two threads take five times as long as one to resolve a spectrum.
        os.environ.setdefault(name, "1")
    home = Path(__file__).resolve().parent.parent
    # A user's own folder "analysis" or "storage" in the working folder must not shadow ours.
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() not in _foreign(home)]
    from monitor.cli import run

    run()


def _foreign(home: Path) -> set[Path]:
    here = Path.cwd().resolve()
    return set() if here == home else {here}


if __name__ == "__main__":
    main()
