"""Feeds the service manager's watchdog, but only while measuring makes progress."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from monitor.systemd import Notifier

log = logging.getLogger(__name__)

USUAL_S = 60.0
"""Time after which a standstill is told where no service manager says after how long it ends us."""
FEEDS = 4.0
"""So often it is fed within its time."""
STANDSTILL_PART = 0.5
"""What has not gone on for this part of the watchdog's time stands still."""


class Watchdog:
    """Looks whether anything stands still. A loop that is stuck feeds it no more by itself."""

    def __init__(
        self, why_stuck: Callable[[float], str], status: Callable[[], str], notifier: Notifier
    ) -> None:
        """``why_stuck`` is asked what has not gone on for so many seconds; ``status`` says how things are."""
        self._why_stuck = why_stuck
        self._status = status
        self._notifier = notifier
        self._within_s = notifier.watchdog_s or USUAL_S
        self._stuck = self._told = ""

    async def keep(self) -> None:
        """Look for ever."""
        while True:
            self.look()
            await asyncio.sleep(self._within_s / FEEDS)

    def look(self) -> None:
        """Look once: feed the watchdog, or say once why it is not fed."""
        stuck = self._why_stuck(STANDSTILL_PART * self._within_s)
        if not stuck:
            self._notifier.feed()
            if self._stuck:
                log.warning("measuring goes on again")
        elif not self._stuck:
            log.error("measuring stands still, so the watchdog is no longer fed: %s", stuck)
        self._stuck = stuck
        said = stuck or self._status()
        if said != self._told:
            self._notifier.status(said)
            self._told = said
