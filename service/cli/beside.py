"""Media that a file of events names by path: read from beside it, as labelled events have them.

Plain JSON events only; the `data` of a CloudEvent is left as it is.
"""

from __future__ import annotations

import base64
from codecs import BOM_UTF8
from pathlib import Path
from typing import Any, Final

import orjson

from service.event import MEDIA_ITEMS

_FIELDS: Final = ("image", "audio")


def with_media(line: bytes, folder: Path, largest: int) -> bytes:
    """A plain JSON event with ``{"path": …}`` as bytes in base64; anything else as it is.

    Only what lies under ``folder`` is read: a file of events from someone else names no other file of ours.
    What is not there stays a path, which the intake refuses by name; so do all paths of an event that has
    more media than the intake allows, or would be longer than ``largest`` bytes with them.
    """
    if b'"path"' not in line or len(line) > largest:
        return line
    try:
        event = orjson.loads(line.removeprefix(BOM_UTF8))
    except orjson.JSONDecodeError:
        return line
    if not isinstance(event, dict):
        return line
    items = [item for name in _FIELDS if name in event for item in _items(event[name])]
    if len(items) > MEDIA_ITEMS or not _fill(items, folder.resolve(), largest - len(line)):
        return line
    try:
        whole = orjson.dumps(event)
    except orjson.JSONEncodeError:  # it reads what is nested deeper than it writes
        return line
    return whole if len(whole) <= largest else line  # 1e15 is longer once written


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _fill(items: list[Any], root: Path, room: int) -> bool:
    """Give items with a path their bytes; False where none has one, or all have no ``room`` bytes."""
    read = False
    for item in items:
        if not isinstance(item, dict) or not isinstance(name := item.get("path"), str) or "bytes" in item:
            continue
        try:
            path = (root / name).resolve()
            if not path.is_relative_to(root) or not path.is_file():
                continue
            room -= -(-path.stat().st_size // 3) * 4
            if room < 0:
                return False
            item["bytes"] = base64.b64encode(path.read_bytes()).decode()
            read = True
        except (OSError, ValueError):  # no right to read, or a name that no file can have
            continue
    return read
