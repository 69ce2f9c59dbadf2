"""Signals of the operating system, where it has them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable


def on_signal(name: str, call: Callable[[], None]) -> None:
    """Call something in the running loop when a signal comes; one that this system lacks never does."""
    number = getattr(signal, name, None)
    if number is None:
        return
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(number, call)
    except NotImplementedError:  # Windows
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(call))
