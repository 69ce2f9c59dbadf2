"""Files that only their owner may read."""

from __future__ import annotations

import json
import os
from pathlib import Path


def write_private(path: Path, content: dict[str, object]) -> None:
    """Write a JSON file that only its owner may read, whole or not at all."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file)
    part.replace(path)
