"""The base of all values that are made of checked parts and never change."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A value that is checked when made, refuses unknown keys and NaN, and never changes.

    Its validator is made when it is first used: a command that reads one file should not wait for all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)
