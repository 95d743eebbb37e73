"""Events made of annotated parts: in memory for training, as JSON lines with media files on disk."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from engines.batch import MODALITIES
from engines.errors import EngineError
from engines.training.taxonomy import NAMES, UNKNOWN, Part

Int8 = NDArray[np.int8]
SPLITS: Final = ("train", "calibrate", "test", "ood")
_SUFFIX: Final = {b"\xff\xd8": ".jpg", b"\x89P": ".png", b"RI": ".webp"}


@dataclass(frozen=True, slots=True)
class Events:
    """Events as rows of the parts of each modality.

    ``rows`` int32 [events, 3], -1 = absent; ``sentiment`` int8 [events]; ``labels`` int8 [events, labels],
    -1 = not annotated; ``split`` int8 [events], an index of `SPLITS`; ``crossed`` bool [events]: an event of
    the balanced set whose label `hate` neither modality tells alone.
    """

    rows: NDArray[np.int32]
    sentiment: Int8
    labels: Int8
    split: Int8
    crossed: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def presence(self) -> NDArray[np.uint8]:
        """uint8 [events]: the modalities that are there, as bits."""
        return np.asarray(((self.rows >= 0) << np.arange(3)).sum(axis=1), np.uint8)

    def where(self, mask: NDArray[np.bool_]) -> Events:
        """The events that ``mask`` picks."""
        return Events(*(getattr(self, name)[mask] for name in self.__slots__))

    def of(self, split: str) -> Events:
        """The events of one split."""
        return self.where(self.split == SPLITS.index(split))


@dataclass(frozen=True, slots=True)
class Dataset:
    """All parts, by modality, and the events that are made of them."""

    parts: tuple[list[Part], list[Part], list[Part]]
    events: Events

    def save(self, folder: Path, most: int | None = None) -> int:
        """Write ``events.jsonl`` and ``media/``: events of the wire plus labels; returns how many."""
        (folder / "media").mkdir(parents=True, exist_ok=True)
        count = min(len(self.events), most or len(self.events))
        with (folder / "events.jsonl").open("w", encoding="utf-8") as out:
            for k in range(count):
                out.write(json.dumps(self._line(folder, k), ensure_ascii=False) + "\n")
        return count

    def _line(self, folder: Path, k: int) -> dict[str, Any]:
        chosen = {
            name: self.parts[m][row]
            for m, (name, row) in enumerate(zip(MODALITIES, self.events.rows[k], strict=True))
            if row >= 0
        }
        line: dict[str, Any] = {"id": f"synth-{k}", "split": SPLITS[self.events.split[k]]}
        for name, part in chosen.items():
            line[name] = part.content if name == "text" else _media(folder, name, part)
            if part.lang:
                line["lang"] = part.lang
        line["labels"] = {
            "sentiment": _plain(self.events.sentiment[k]),
            "moderation": {label: _plain(v) for label, v in zip(NAMES, self.events.labels[k], strict=True)},
        }
        line["unimodal"] = {
            name: {
                "kind": p.kind,
                "sentiment": _plain(p.sentiment),
                "moderation": p.labels,
                "factor": p.factor,
            }
            for name, p in chosen.items()
        }
        line["crossed"] = bool(self.events.crossed[k])
        return line


def load(folder: Path) -> Dataset:
    """Read what `Dataset.save` wrote; raises EngineError with the line."""
    parts: tuple[list[Part], list[Part], list[Part]] = ([], [], [])
    known: list[dict[str | bytes, int]] = [{}, {}, {}]
    rows, sentiment, labels, split, crossed = [], [], [], [], []
    path = folder / "events.jsonl"
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            line = json.loads(text)
            row = [-1, -1, -1]
            for m, name in enumerate(MODALITIES):
                if name in line:
                    part = _part(folder, line, name)
                    row[m] = known[m].setdefault(part.content, len(parts[m]))
                    if row[m] == len(parts[m]):
                        parts[m].append(part)
            moderation = line["labels"]["moderation"]
            rows.append(row)
            sentiment.append(_known(line["labels"]["sentiment"]))
            labels.append([_known(moderation.get(label)) for label in NAMES])
            split.append(SPLITS.index(line["split"]))
            crossed.append(bool(line.get("crossed")))
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            raise EngineError(
                "This is no labelled event",
                where=f"{path}, line {number}",
                why=repr(error)[:200],
                remedy="Compare it with a line that `tidegate bundle synth` writes",
            ) from error
    if not rows:
        raise EngineError("There is no event to learn from", where=str(path), why="the file is empty")
    return Dataset(parts, gather(rows, sentiment, labels, split, crossed))


def gather(
    rows: Sequence[Sequence[int]],
    sentiment: Sequence[int],
    labels: Sequence[Sequence[int]],
    split: Sequence[int],
    crossed: Sequence[bool],
) -> Events:
    """Columns as `Events`."""
    return Events(
        np.array(rows, np.int32),
        np.array(sentiment, np.int8),
        np.array(labels, np.int8),
        np.array(split, np.int8),
        np.array(crossed, np.bool_),
    )


def _media(folder: Path, name: str, part: Part) -> dict[str, str]:
    data = part.content if isinstance(part.content, bytes) else b""
    suffix = ".wav" if name == "audio" else _SUFFIX[data[:2]]
    path = folder / "media" / f"{crc32(data):08x}-{len(data)}{suffix}"
    if not path.exists():
        path.write_bytes(data)
    return {"path": f"media/{path.name}"}


def _part(folder: Path, line: dict[str, Any], name: str) -> Part:
    alone = line["unimodal"][name]
    content: str | bytes = line[name] if name == "text" else _bytes(folder, line[name])
    known = {label: int(value) for label, value in alone["moderation"].items() if value is not None}
    return Part(
        content, alone.get("kind", ""), _known(alone["sentiment"]), known, alone.get("factor", 2),
        line["split"], line.get("lang", "") if name == "text" else "",
    )  # fmt: skip


def _bytes(folder: Path, media: dict[str, str]) -> bytes:
    return base64.b64decode(media["bytes"]) if "bytes" in media else (folder / media["path"]).read_bytes()


def _plain(value: int) -> int | None:
    return None if value == UNKNOWN else int(value)


def _known(value: int | None) -> int:
    return UNKNOWN if value is None else int(value)
