"""service.toml, the worker, and the sealing that a dead daemon left undone."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from scripted_instrument import CURRENT_A, Bench, driven, program

from protocols.errors import InvalidFileError, SandtimeError
from scheduler.config import load_config
from scheduler.engine import Engine
from scheduler.recorder import Recorder
from scheduler.worker import Worker

GOOD = """
data = "data"
[instruments.box]
driver = "biologic"
[stations.A]
instrument = "box"
channel = 1
"""


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("data = ", "TOML"),
        (GOOD.replace('data = "data"', ""), "data"),
        (GOOD.replace('driver = "biologic"', "driver = 1"), "box"),
        (GOOD.replace('instrument = "box"', 'instrument = "bux"'), "bux"),
        (GOOD.replace("channel = 1", "channel = 0"), "channel"),
        (GOOD.replace("channel = 1", ""), "channel"),
        (GOOD + '[stations.B]\ninstrument = "box"\nchannel = 1\n', "more than one"),
        (GOOD + "[stations.A.extra]\n", "extra"),
        (GOOD + 'chamber = "oven"\n', "chamber 'oven', which is not declared"),
        (GOOD + '[chambers.oven]\naddress = "x"\n', 'oven needs a line such as driver = "espec"'),
        (GOOD + "[chambers.oven]\ndriver = 3\n", "oven needs"),
        (GOOD + '[chambers."o/ven"]\ndriver = "espec"\n', "o/ven"),
        (GOOD + "[chambers]\noven = 3\n", "oven"),
        (GOOD + '[mqtt]\nbroker = "lab"\n', "host:port"),
        (GOOD + '[mqtt]\nbroker = ":1883"\n', "host:port"),
        (GOOD + '[mqtt]\nbroker = "lab:99999"\n', "host:port"),
        (GOOD + '[mqtt]\nsite = "Lab 1"\n', "site"),
        (GOOD + "[http]\nport = 70000\n", "port"),
    ],
)
def test_a_broken_service_toml_says_what_is_wrong(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "service.toml"
    file.write_text(text)
    with pytest.raises(InvalidFileError, match=named) as found:
        load_config(file)
    assert str(file) in str(found.value)


def test_a_good_service_toml(tmp_path: Path) -> None:
    file = tmp_path / "service.toml"
    file.write_text(GOOD)
    config = load_config(file)
    assert config.data == tmp_path.resolve() / "data"
    assert config.station("A").channel == 1
    with pytest.raises(InvalidFileError, match="stations here: A"):
        config.station("B")


@pytest.mark.parametrize("place", ["missing.toml", "."])
def test_a_service_toml_that_cannot_be_read(tmp_path: Path, place: str) -> None:
    with pytest.raises(InvalidFileError):
        load_config(tmp_path / place)


async def test_the_worker_is_another_process_and_is_replaced_once_when_it_dies() -> None:
    worker = Worker()
    try:
        first = await worker.run(os.getpid)
        assert first != os.getpid()
        os.kill(first, signal.SIGKILL)
        second = await worker.run(os.getpid)
        assert second not in (first, os.getpid())
        with pytest.raises(ValueError, match="invalid literal"):
            await worker.run(int, "no number")
        with pytest.raises(SandtimeError, match="died twice"):
            await worker.run(os._exit, 1)
        one, two = await asyncio.gather(worker.run(abs, -1), worker.run(abs, -2))
        assert (one, two) == (1, 2)
    finally:
        worker.close()


PARENT = """
import asyncio, os, time
from scheduler.worker import Worker

if __name__ == "__main__":
    print(asyncio.run(Worker().run(os.getpid)), flush=True)
    time.sleep(600)
"""


def test_the_worker_ends_with_its_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert psutil.pid_exists(pid)
        parent.kill()
    deadline = time.monotonic() + 30.0
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the worker outlives its parent"
        time.sleep(0.05)


async def test_runs_that_a_dead_daemon_did_not_seal_are_sealed_at_the_next_start(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.live()
    run = bench.submit(program(driven(0, CURRENT_A, 10.0)))
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    await bench.die()
    await bench.live()
    assert bench.store.reader.unsealed() == [run.number]
    worker = Worker()
    clock = bench.host.clock()
    engine = Engine({}, bench.store, Recorder(bench.store, clock), clock, worker)
    task = asyncio.create_task(engine.run(), name="engine")
    try:
        await bench.until(lambda: not bench.store.reader.unsealed())
        assert bench.store.reader.results(run.number) is not None
    finally:
        task.cancel()
        await asyncio.wait([task])
        worker.close()
        await bench.store.close()
