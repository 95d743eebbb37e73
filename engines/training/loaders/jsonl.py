"""Our own JSON lines: events of the wire, with media by path, plus labels."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from math import isfinite, nan
from pathlib import Path
from typing import Any, Final

from engines.batch import MODALITIES, SENTIMENTS
from engines.training.loaders.options import Options
from engines.training.rows import Journal, Row, RowError, Said, medium, sentiment_from
from engines.training.taxonomy import UNKNOWN

FILE: Final = "events.jsonl"
_EVENT: Final = {"id", "text", "image", "images", "audio", "audios", "lang", "source", "source_id"}
_META: Final = {"time", "author", "thread", "tenant", "reach", "topics"}
_KEYS: Final = _EVENT | _META | {"labels", "unimodal", "split", "group", "crossed"}
_LABELS: Final = {"sentiment", "polarity", "moderation", "severity"}
_ALONE: Final = {"sentiment", "moderation", "factor", "kind"}
_MEDIA: Final = {"path", "bytes", "media_type"}
_EXAMPLE: Final = (
    'A row looks like {"text": "…", "labels": {"sentiment": "negative", "moderation": {"hate": 0}}}'
)


def sniff(path: Path) -> bool:
    """Whether this is a file of JSON lines, or a folder with events.jsonl."""
    file = path / FILE if path.is_dir() else path
    return file.suffix in (".jsonl", ".ndjson") and file.is_file()


def rows(path: Path, options: Options, journal: Journal) -> Iterator[Row]:
    """The rows of a file, or of a folder's events.jsonl; media lie relative to the file."""
    file = path / FILE if path.is_dir() else path
    with file.open("rb") as lines:
        for number, data in enumerate(lines, 1):
            text = data.removeprefix(b"\xef\xbb\xbf").strip()
            where = f"{file}, line {number}"
            if text:
                with journal.row(where):
                    yield _row(text, where, file.parent, options, journal)


def _row(data: bytes, where: str, folder: Path, options: Options, journal: Journal) -> Row:
    line = _object(data)
    _only(line, _KEYS, "the row")
    content: dict[str, str | bytes | Path] = {}
    if text := _string(line, "text").strip():
        content["text"] = text
    for name in ("image", "audio"):
        if found := _media(folder, line, name, journal):
            content[name] = found
    if not content:
        raise RowError("it holds neither text nor image nor audio", _EXAMPLE)
    labels = line.get("labels")
    if not isinstance(labels, Mapping):
        raise RowError("`labels` is missing" if labels is None else "`labels` is not an object", _EXAMPLE)
    _only(labels, _LABELS, "`labels`")
    polarity = _polarity(labels.get("polarity"))
    sentiment = _sentiment(labels.get("sentiment"))
    if sentiment == UNKNOWN and isfinite(polarity):
        sentiment = sentiment_from(polarity)
    unimodal = {
        name: _said(name, value) for name, value in _mapping(line, "unimodal").items() if value is not None
    }
    row = Row(
        where, content, sentiment, polarity,
        grades(labels, "moderation", 1), grades(labels, "severity", 7), unimodal,
        _string(line, "lang") or options.lang, _string(line, "source") or options.source,
        _string(line, "split"), _string(line, "group"), bool(line.get("crossed")),
    )  # fmt: skip
    if sentiment == UNKNOWN and not row.moderation and not row.severity and not unimodal:
        raise RowError("nothing is annotated", _EXAMPLE)
    return row


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        line = json.loads(data)
    except UnicodeDecodeError as error:
        raise RowError("it is not UTF-8", "Save the file as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise RowError(f"it is not JSON ({error})"[:120], "Write one JSON object a line") from error
    if not isinstance(line, Mapping):
        raise RowError("it is no JSON object", "Write one JSON object a line")
    return line


def _only(found: Mapping[str, Any], known: set[str], what: str) -> None:
    if strange := sorted(set(found) - known):
        raise RowError(
            f"{what} has unknown keys {', '.join(strange)}", f"Known are {', '.join(sorted(known))}"
        )


def _string(line: Mapping[str, Any], name: str) -> str:
    value = line.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RowError(f"`{name}` is no text: {value!r:.40}")
    if not value.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise RowError(f"`{name}` holds half a character (a lone surrogate)")
    return value


def _mapping(line: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = line.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise RowError(f"`{name}` is no object: {value!r:.40}")
    return value


def _media(folder: Path, line: Mapping[str, Any], name: str, journal: Journal) -> bytes | Path | None:
    value = line.get(name)
    if value is None:
        value = line.get(f"{name}s")
    found = value if isinstance(value, list) else [] if value is None else [value]
    if len(found) > 1:
        journal.count(f"several in `{name}`: the first is used")
    return _medium(folder, found[0], name) if found else None


def _medium(folder: Path, value: object, name: str) -> bytes | Path:
    if isinstance(value, str):
        return medium(folder, value)
    if isinstance(value, Mapping) and set(value) <= _MEDIA:
        if isinstance(value.get("path"), str):
            return medium(folder, value["path"])
        try:
            return base64.b64decode(value["bytes"], validate=True)
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise RowError(f"`{name}` is no base64") from error
    raise RowError(f"`{name}` is neither a path nor bytes: {value!r:.60}", 'Write {"path": "media/a.jpg"}')


def _sentiment(value: object) -> int:
    if value is None:
        return UNKNOWN
    if isinstance(value, str) and value in SENTIMENTS:
        return SENTIMENTS.index(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(SENTIMENTS):
        return value
    raise RowError(f"`sentiment` is {value!r:.40}", f"It is {', '.join(SENTIMENTS)} or null")


def _polarity(value: object) -> float:
    if value is None:
        return nan
    if isinstance(value, int | float) and not isinstance(value, bool) and -1 <= value <= 1:
        return float(value)
    raise RowError(f"`polarity` is {value!r:.40}", "It is a number from -1 to 1, or null")


def _said(name: str, value: object) -> Said:
    if name not in MODALITIES:
        raise RowError(f"`unimodal` names {name!r:.40}", f"It names {', '.join(MODALITIES)}")
    if not isinstance(value, Mapping):
        raise RowError(f"`unimodal.{name}` is no object")
    _only(value, _ALONE, f"`unimodal.{name}`")
    factor = value.get("factor")
    if factor not in (None, -1, 0, 1, 2):
        raise RowError(f"`unimodal.{name}.factor` is {factor!r:.40}", "A factor is 0, 1 or 2 (neither)")
    factor = 2 if factor is None else int(factor)
    return Said(
        _sentiment(value.get("sentiment")), grades(value, "moderation", 1), factor, _string(value, "kind")
    )


def grades(line: Mapping[str, Any], name: str, most: int) -> dict[str, int]:
    """The labels of ``line[name]`` that are annotated, each 0…``most``; raises `RowError`."""
    out = {}
    for label, value in _mapping(line, name).items():
        if value is None:
            continue
        if not isinstance(value, int) or not 0 <= value <= most:
            raise RowError(
                f"`{name}` of {label} is {value!r:.40}", f"It is 0 to {most}, or null where nobody knows"
            )
        out[label] = int(value)
    return out
