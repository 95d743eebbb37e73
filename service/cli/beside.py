"""Media that a file of events names by path: read from beside it, as labelled events have them."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, Final

import orjson

_FIELDS: Final = ("image", "audio")


def with_media(line: bytes, folder: Path, largest: int) -> bytes:
    """A JSON event with ``{"path": …}`` as bytes in base64; anything else as it is.

    Only what lies under ``folder`` is read: a file of events from someone else names no other file of ours.
    What is not there, or larger than ``largest`` bytes, stays a path, which the intake refuses by name.
    """
    if b'"path"' not in line:
        return line
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        return line
    if not isinstance(event, dict):
        return line
    read = {name: _read(event[name], folder, largest) for name in _FIELDS if name in event}
    return orjson.dumps({**event, **read})


def _read(value: Any, folder: Path, largest: int) -> Any:
    if isinstance(value, list):
        return [_read(each, folder, largest) for each in value]
    if not isinstance(value, dict) or not isinstance(name := value.get("path"), str) or "bytes" in value:
        return value
    try:
        path, root = (folder / name).resolve(), folder.resolve()
        if not path.is_relative_to(root) or not path.is_file() or path.stat().st_size > largest:
            return value
        return {**value, "bytes": base64.b64encode(path.read_bytes()).decode()}
    except (OSError, ValueError):  # no right to read, or a name that no file can have
        return value
