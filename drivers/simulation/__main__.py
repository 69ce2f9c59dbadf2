"""``python -m drivers.simulation``: the simulated instruments of a configuration as one server process."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from drivers.simulation.config import SimulationConfig
from drivers.simulation.server import serve
from protocols.errors import SandtimeError


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m drivers.simulation", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="TOML file that says what to simulate")
    parser.add_argument("--state", type=Path, required=True, help="file to write with the ports in use")
    parser.add_argument("--speed", type=float, default=1.0, help="instrument seconds per real second")
    parser.add_argument("--max-lag", type=float, default=10.0, help="s that a host may stay behind")
    parser.add_argument("--exit-without-client", type=float, help="s without any host after which to end")
    return parser.parse_args()


def _new_event_loop() -> asyncio.AbstractEventLoop:
    """Return uvloop's loop where there is one: it halves the cost of a request."""
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


def main() -> int:
    """Run until told to end; return the exit code."""
    arguments = _arguments()
    try:
        config = SimulationConfig.load(arguments.config)
        with asyncio.Runner(loop_factory=_new_event_loop) as runner:
            runner.run(
                serve(
                    config,
                    arguments.state,
                    arguments.speed,
                    arguments.max_lag,
                    arguments.exit_without_client,
                )
            )
    except SandtimeError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
