"""Runs a measurement in a fresh process of its own, so that one does not colour the next."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import ParamSpec, TypeVar

import psutil

P = ParamSpec("P")
T = TypeVar("T")

MB = 1e6


def in_child(measure: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what ``measure``, a function of a module, returns in a process that does nothing else."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, *args, **kwargs).result()


def uss_MB(process: psutil.Process | None = None) -> float:
    """Return the memory that belongs to a process alone, in MB; None: this process."""
    return float((process or psutil.Process()).memory_full_info().uss) / MB
