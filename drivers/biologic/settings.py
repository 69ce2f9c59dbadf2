"""What service.toml says of one BioLogic instrument, and what each model can do."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, ValidationError

from drivers.biologic.constants import I_RANGE_FULL_SCALE_A, DeviceCode, IRange
from protocols.capabilities import Capabilities
from protocols.errors import InvalidFileError, Problem
from protocols.frozen import Frozen

MODELS: dict[str, DeviceCode] = {
    "SP-200": DeviceCode.SP_200,
    "SP-240": DeviceCode.SP_240,
    "SP-300": DeviceCode.SP_300,
    "VSP-300": DeviceCode.VSP_300,
    "VMP-300": DeviceCode.VMP_300,
}
"""Instruments of the 300 series that this driver serves."""


class Settings(Frozen):
    """One instrument's section of service.toml."""

    address: str
    """IP address, or USB0, USB1, …"""
    model: str = "VSP-300"
    technique_folder: str = ""
    """Folder of the Development Package with .ecc, kernel and FPGA files; empty: the library finds them."""
    connect_timeout_s: int = Field(default=5, ge=1, le=255)
    """Also how long one library call waits for another."""
    call_timeout_s: float = Field(default=10.0, gt=0)
    firmware_timeout_s: float = Field(default=120.0, gt=0)
    """For one channel."""
    reload_firmware: bool = False
    """Load the firmware even where the library's is there (never on a channel that runs)."""
    start_grace_s: float = Field(default=10.0, gt=0)
    """A channel that has not been seen running this long after its start has failed."""
    max_techniques: int = Field(default=250, ge=3)
    """Linked techniques in one load."""
    bandwidth: int = Field(default=5, ge=1, le=9)


def read_settings(name: str, section: Mapping[str, object]) -> Settings:
    """Check an instrument's section. Raises InvalidFileError with every mistake."""
    try:
        settings = Settings.model_validate(dict(section))
    except ValidationError as error:
        problems = [
            _problem(name, ".".join(str(part) for part in item["loc"]), item["msg"])
            for item in error.errors()
        ]
        raise InvalidFileError(problems) from error
    if settings.model not in MODELS:
        hint = f"one of {', '.join(MODELS)}"
        raise InvalidFileError([_problem(name, "model", f"{settings.model!r} is not known", hint)])
    return settings


def _problem(instrument: str, key: str, message: str, hint: str = "") -> Problem:
    return Problem("service.toml", 0, 0, f"[instruments.{instrument}] {key}: {message}", hint)


def capabilities(model: str = "VSP-300") -> Capabilities:
    """Return what a channel of a model can do, without a booster or an ultra-low-current option."""
    lowest_A = I_RANGE_FULL_SCALE_A[IRange.I_10NA]
    return Capabilities(
        model=model,
        current_max_A=0.5,
        voltage_min_V=-10.0,
        voltage_max_V=10.0,
        current_ranges_A=tuple(scale for scale in I_RANGE_FULL_SCALE_A.values() if scale >= lowest_A),
        current_accuracy=1e-3,
        voltage_accuracy_V=1e-3,
        step_kinds=("rest", "constant_current", "constant_voltage", "voltage_sweep", "geis", "peis"),
        frequency_min_Hz=10e-6,
        frequency_max_Hz=7e6,
        eis_amplitude_fraction=0.5,
        sample_interval_min_s=1e-3,
        on_board={
            "rest": ("time",),
            "constant_current": ("voltage", "time"),
            "constant_voltage": ("voltage", "time", "end_current"),
            "voltage_sweep": ("voltage", "current", "time"),
            "geis": ("time",),
            "peis": ("voltage", "time"),
        },
        charge_counter=False,
        opposite_voltage_on_board=False,
        at_host_loss="keeps running with its limits",
        open_circuit=True,
        notes=(
            "Ranges of current, voltage and frequency, and accuracies (0.1 % of a range, 1 mV) are not "
            "checked against a data sheet: compare them with that of your instrument.",
            "A step that ends by a voltage holds only that voltage on board; the host holds the other limit.",
            "A constant voltage that ends by a current holds only that current on board, and the host holds "
            "the current limit; without such an end the instrument holds the current limit too.",
            "During a galvanostatic spectrum the host holds the voltage limits, during a potentiostatic one "
            "the current limit.",
            "Of this driver only simulated instruments have been tried.",
        ),
    )
