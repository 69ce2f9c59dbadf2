"""The one warm process beside the daemon, for numbers and files that would hold up the loop.

It runs at low priority with one BLAS thread, gets file names and run numbers instead of arrays, and ends by
itself when the daemon is gone.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import ParamSpec, TypeVar

from protocols.errors import SandtimeError

P = ParamSpec("P")
T = TypeVar("T")

NICE = 10
PARENT_CHECK_S = 1.0
JOB_TIMEOUT_S = 600.0


class Worker:
    """Runs module-level functions in the worker process, one at a time."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    async def run(self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return ``job(*args)``, computed in the worker. A worker that died is replaced, once.

        Raises what the job raises, TimeoutError after ten minutes, SandtimeError if the worker keeps dying.
        """
        for _ in range(2):
            pool = self._started()
            try:
                async with asyncio.timeout(JOB_TIMEOUT_S):
                    return await asyncio.wrap_future(pool.submit(job, *args, **kwargs))
            except TimeoutError:
                # It would keep the only worker from every later job.
                if self._pool is pool:
                    self.close()
                raise
            except BrokenProcessPool:
                # Another job may have replaced it already.
                if self._pool is pool:
                    self.close()
        raise SandtimeError(
            f"the worker process died twice while it ran {job.__name__}; see the system's log"
        )

    def close(self) -> None:
        """End the worker; a job that still runs is not waited for."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                max_workers=1,
                mp_context=get_context("spawn"),
                initializer=_settle_in,
                initargs=(os.getpid(),),
            )
        return self._pool


def _settle_in(parent: int) -> None:
    """Lower the priority, use one thread for linear algebra, and end with the daemon."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    if hasattr(os, "nice"):
        os.nice(NICE)
    threading.Thread(target=_end_with, args=(parent,), name="watch the daemon", daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    os._exit(0)
