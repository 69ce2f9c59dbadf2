"""How each kind of published value is obtained from what the store holds of a run."""

# Imported so that they register themselves.
from monitor.published.extractions import capacity, cycling, spectra, sweeps, transport  # noqa: F401
from monitor.published.extractions.record import Record
from monitor.published.extractions.registry import EXTRACTIONS, Extraction, NotObtainedError, check_arguments

__all__ = ["EXTRACTIONS", "Extraction", "NotObtainedError", "Record", "check_arguments"]
