"""A data set as files: JSON lines with the media beside them, and labels.yaml."""

from __future__ import annotations

import json
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

from engines.batch import MODALITIES, SENTIMENTS
from engines.training.taxonomy import UNKNOWN, Part

if TYPE_CHECKING:
    from engines.training.dataset import Dataset

_SUFFIX: Final = {b"\xff\xd8": ".jpg", b"\x89P": ".png", b"RI": ".webp", b"GI": ".gif"}
_SOUND: Final = {b"RI": ".wav", b"fL": ".flac", b"Og": ".ogg"}


def save(data: Dataset, folder: Path, most: int | None = None) -> int:
    """Write ``events.jsonl``, ``labels.yaml`` and ``media/``; returns how many events."""
    (folder / "media").mkdir(parents=True, exist_ok=True)
    data.labels.dump(folder / "labels.yaml")
    count = min(len(data.events), most or len(data.events))
    with (folder / "events.jsonl").open("w", encoding="utf-8") as out:
        for k in range(count):
            out.write(json.dumps(_line(data, folder, k), ensure_ascii=False) + "\n")
    return count


def _line(data: Dataset, folder: Path, k: int) -> dict[str, Any]:
    from engines.training.dataset import SPLITS

    events = data.events
    chosen = {
        name: data.parts[m][row]
        for m, (name, row) in enumerate(zip(MODALITIES, events.rows[k], strict=True))
        if row >= 0
    }
    line: dict[str, Any] = {"id": f"event-{k}", "split": SPLITS[events.split[k]]}
    for name, part in chosen.items():
        line[name] = part.content if name == "text" else _media(folder, name, part)
    for name in ("lang", "source", "group"):
        if value := str(getattr(events, name)[k]):
            line[name] = value
    names = data.labels.names
    line["labels"] = {
        "sentiment": _named(events.sentiment[k]),
        "moderation": {x: _plain(v) for x, v in zip(names, events.labels[k], strict=True)},
    }
    if isfinite(polarity := float(events.polarity[k])):
        line["labels"]["polarity"] = polarity
    if grades := {x: int(v) for x, v in zip(names, events.severity[k], strict=True) if v != UNKNOWN}:
        line["labels"]["severity"] = grades
    line["unimodal"] = {
        name: {"kind": p.kind, "sentiment": _named(p.sentiment), "moderation": p.labels, "factor": p.factor}
        for name, p in chosen.items()
    }
    if events.crossed[k]:
        line["crossed"] = True
    return line


def _media(folder: Path, name: str, part: Part) -> dict[str, str]:
    data = part.read()
    suffix = _SOUND.get(data[:2], ".mp3") if name == "audio" else _SUFFIX.get(data[:2], ".bin")
    path = folder / "media" / f"{crc32(data):08x}-{len(data)}{suffix}"
    if not path.exists():
        path.write_bytes(data)
    return {"path": f"media/{path.name}"}


def _plain(value: int) -> int | None:
    return None if value == UNKNOWN else int(value)


def _named(value: int) -> str | None:
    return None if value == UNKNOWN else SENTIMENTS[value]
