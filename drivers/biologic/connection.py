"""The connection to one instrument: its thread, time-outs on every call, and what is plugged in.

All library calls of an instrument run on one thread of its own (the library serialises them anyway and
answers a second caller with an error). The connection stays open. A call that is late cannot be broken off:
until it returns there is no new thread, so that never two are inside the library; its result is dropped.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from drivers.biologic.constants import BoardType, ChannelState, FirmwareCode
from drivers.biologic.device import Device
from drivers.biologic.library import Library
from drivers.biologic.settings import MODELS, Settings
from drivers.biologic.structs import ChannelInfos, DeviceInfos
from protocols.errors import InstrumentError, SandtimeError, UnreachableError

log = logging.getLogger(__name__)

READBACKS = 100
"""How often a channel is asked again before its answers are given up as useless."""
READBACK_INTERVAL_S = 0.02

P = ParamSpec("P")
T = TypeVar("T")


class Connection:
    """Blocking calls on a :class:`Device`, made from the event loop one after the other."""

    def __init__(self, name: str, settings: Settings, library: Library) -> None:
        self.device = Device(name, library, settings.technique_folder)
        self._name = name
        self._settings = settings
        self._thread: ThreadPoolExecutor | None = None
        self._entered: Future[Any] | None = None
        """The last call that the thread took up and whose caller has left, with or without the result."""
        self._boards: dict[int, BoardType] = {}
        self._unusable: dict[int, str] = {}
        self._serials: dict[int, int] = {}
        self.firmware = ""
        """Version and date of the instrument's firmware; empty before it was first connected."""

    @property
    def channels(self) -> dict[int, bool]:
        """Plugged channel → whether it can be used. Raises UnreachableError while not connected."""
        self._connected()
        found = dict.fromkeys(self._boards, True) | dict.fromkeys(self._unusable, False)
        return dict(sorted(found.items()))

    @property
    def board_serials(self) -> str:
        """Serial numbers of the usable boards, by channel; boards that tell none are left out."""
        known = ((channel, serial) for channel, serial in sorted(self._serials.items()) if serial)
        return ", ".join(f"{channel + 1}: {serial}" for channel, serial in known)

    def board(self, channel: int) -> BoardType:
        """Return the board of a usable channel. Raises InstrumentError for any other."""
        if channel not in self._boards:
            reason = self._unusable.get(channel, "it is not plugged; check the channel's number")
            raise InstrumentError(f"{self._name} channel {channel} cannot be used: {reason}")
        return self._boards[channel]

    async def open(self) -> None:
        """Connect, identify, and load firmware where it is missing and nothing runs.

        Raises UnreachableError, also while a late call of the connection before is still in the library.
        """
        await self.close()
        self._refuse_while_inside()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"biologic-{self._name}")
        try:
            await self._identify()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Let go of the connection."""
        thread = self._thread
        if thread is None:
            return
        try:
            await self.call(self.device.disconnect)
        except SandtimeError as error:
            log.info("%s: disconnected without an answer: %s", self._name, error)
        finally:
            self._thread = None
            thread.shutdown(wait=False)

    async def call(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Run a blocking function on the instrument's thread. Raises UnreachableError if it is late."""
        return await self._within(self._settings.call_timeout_s, lambda: function(*arguments, **named))

    async def infos(self, channel: int) -> tuple[ChannelInfos, bool]:
        """Return a channel's infos and whether it has no firmware, past answers of zeros throughout."""
        for _ in range(READBACKS):
            infos, empty = await self.call(self.device.channel_infos, channel)
            if empty or infos.FirmwareCode or infos.MemSize:
                return infos, empty
            await asyncio.sleep(READBACK_INTERVAL_S)
        raise UnreachableError(
            f"{self._name} channel {channel} sends zeros only; if that stays, power-cycle the instrument"
        )

    def _refuse_while_inside(self) -> None:
        if self._entered is not None and not self._entered.done():
            raise UnreachableError(
                f"{self._name}: the library has not returned from an earlier call; it is tried again once it "
                "has: check the instrument's power and network, and restart the daemon if that stays"
            )

    def _connected(self) -> ThreadPoolExecutor:
        if self._thread is None:
            raise UnreachableError(f"{self._name} is not connected; connect first")
        return self._thread

    async def _within(self, timeout_s: float, function: Callable[[], T]) -> T:
        call = self._connected().submit(function)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(call), timeout_s)
        except TimeoutError as error:
            raise UnreachableError(
                f"{self._name} did not answer within {timeout_s:g} s; check its power and network"
            ) from error
        finally:
            # A call that still waits for the thread is taken back; one that the thread took up is not.
            if not call.cancel():
                self._entered = call

    async def _identify(self) -> None:
        address, timeout_s = self._settings.address, self._settings.connect_timeout_s
        # The library itself waits this long; ours must be longer, or its answer would be lost.
        infos = await self._within(timeout_s + 2.0, lambda: self.device.connect(address, timeout_s))
        self._check_model(infos)
        date = (infos.FirmwareDate_yyyy, infos.FirmwareDate_mm, infos.FirmwareDate_dd)
        self.firmware = f"{infos.FirmwareVersion} of {'-'.join(f'{part:02}' for part in date)}"
        self._serials.clear()
        self._boards.clear()
        self._unusable.clear()
        for channel in await self.call(self.device.plugged):
            await self._prepare(channel)

    def _check_model(self, infos: DeviceInfos) -> None:
        wanted = MODELS[self._settings.model]
        if infos.DeviceCode != wanted:
            raise InstrumentError(
                f"{self._name}: the instrument at {self._settings.address} has device code "
                f"{infos.DeviceCode}, but {self._settings.model} has {wanted.value}; "
                "correct `model` or `address` in service.toml"
            )

    async def _prepare(self, channel: int) -> None:
        """Make a channel ready, or note why it cannot be used."""
        board = await self.call(self.device.board_type, channel)
        if board not in (BoardType.PREMIUM, BoardType.PREMIUM_P):
            self._unusable[channel] = f"its board type {board} is not one of the 300 series"
            return
        infos, _ = await self.infos(channel)
        self._serials[channel] = infos.BoardSerialNumber
        ours = infos.FirmwareCode == FirmwareCode.KERNEL
        stopped = infos.State == ChannelState.STOP
        if not ours and not stopped:
            self._unusable[channel] = "another program's firmware runs on it; stop it there, then reconnect"
            return
        if stopped and (not ours or self._settings.reload_firmware):
            await self._load_firmware(channel, BoardType(board))
        self._boards[channel] = BoardType(board)

    async def _load_firmware(self, channel: int, board: BoardType) -> None:
        log.info("%s channel %d: loading firmware", self._name, channel)
        force = self._settings.reload_firmware
        await self._within(
            self._settings.firmware_timeout_s, lambda: self.device.load_firmware(channel, board, force)
        )
