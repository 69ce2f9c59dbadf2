"""The unit with which systemd runs the daemon, with the paths of this computer filled in."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from pathlib import Path

UNIT = """\
# sandtime under systemd. Made by: sandtime service-unit
#   sandtime service-unit | sudo tee /etc/systemd/system/sandtime.service
#   sudo systemctl daemon-reload && sudo systemctl enable --now sandtime
[Unit]
Description=sandtime: electrochemical tests of Li-metal cells
Wants=network-online.target time-sync.target
After=network-online.target time-sync.target
# It is started again however often it ends: cells wait.
StartLimitIntervalSec=0

[Service]
Type=notify
User={user}
WorkingDirectory={folder}
ExecStart={python} -P -m monitor.entry serve --config {config}
ExecReload=/bin/kill -HUP $MAINPID
# Its first look at the instruments may load their firmware.
TimeoutStartSec=30min
TimeoutStopSec=30s
# Fed only while instruments are polled and samples stored. What runs on them goes on meanwhile.
WatchdogSec=60s
Restart=on-failure
RestartSec=2s
# Not for a mistake in service.toml, which a new start does not mend.
RestartPreventExitStatus=2 3
KillMode=mixed
# The last to be ended where memory is short.
OOMScoreAdjust=-500
LimitNOFILE=65536
# Secrets: one file each, readable by root alone; in service.toml
#   password = {{ file = "$CREDENTIALS_DIRECTORY/mqtt" }}
# LoadCredential=mqtt:/etc/sandtime/mqtt.secret

# It writes to its data folder alone, and gains no rights.
UMask=0027
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={data}
CacheDirectory=sandtime
Environment=MPLCONFIGDIR=%C/sandtime
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
# Left out: PrivateDevices (instruments at USB and serial ports), MemoryDenyWriteExecute (C callbacks).

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True, slots=True)
class Place:
    """What a unit has to know of this computer."""

    python: Path
    """The interpreter that has sandtime."""
    config: Path
    """service.toml."""
    data: Path
    user: str = ""
    """Who runs it; empty: who asks."""


def service_unit(place: Place) -> str:
    """Return the text of ``sandtime.service``."""
    return UNIT.format(
        user=_plain(place.user or getpass.getuser()),
        folder=_plain(str(place.config.parent)),
        python=_word(str(place.python)),
        config=_word(str(place.config)),
        data=_listed(str(place.data)),
    )


def _plain(text: str) -> str:
    """Return the value of a setting that takes the rest of its line."""
    return text.replace("%", "%%")


def _word(text: str) -> str:
    """Return one word of a command line."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if escaped != text or any(letter.isspace() for letter in text) else text


def _listed(text: str) -> str:
    """Return one path of a list of paths."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"' if escaped != text or any(letter.isspace() for letter in text) else text
