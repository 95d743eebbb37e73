"""Spoken clips with graded sentiment: CMU-MOSI, CMU-MOSEI, CH-SIMS, as one label.csv beside sounds.

Columns: video_id, clip_id, text, label (−3…3, or −1…1 in CH-SIMS), mode, and where there are such label_T,
label_A and label_V for what text, voice and face say alone. A. Zadeh and others, "MOSI", 2016; W. Yu and
others, "CH-SIMS", ACL 2020.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import Final

from engines.errors import EngineError
from engines.training.loaders.options import Options
from engines.training.loaders.table import Line, header, language, lines
from engines.training.rows import Journal, Row, RowError, Said, sentiment_from

FILE: Final = "label.csv"
_NEEDED: Final = ("video_id", "clip_id", "text", "label")
_SOUNDS: Final = ("wav", "WAV", "wavs", "audio", "Audio", "Raw")
_FRAMES: Final = ("frames", "Frames", "images", "faces")
_SOUND: Final = (".wav", ".flac", ".mp3")
_FRAME: Final = (".jpg", ".png")
_ALONE: Final = {"text": "label_t", "audio": "label_a", "image": "label_v"}
_STRONGEST: Final = 3.0


def sniff(path: Path) -> bool:
    """Whether there is a table with video_id, clip_id and label."""
    return {"video_id", "clip_id", "label"} <= set(header(_file(path)))


def rows(path: Path, options: Options, journal: Journal) -> Iterator[Row]:
    """One event for each clip: its text, its sound where there is a folder of sounds, and its frame where
    there is one of frames. Labels become polarity by dividing by the largest that the scale knows; sentiment
    is their sign. All clips of a video are one group.
    """
    file = _file(path)
    if missing := [name for name in _NEEDED if name not in header(file)]:
        raise EngineError(
            "A table of clips lacks columns", where=str(file), why=f"there is no {', '.join(missing)}",
            remedy=f"Name its columns {', '.join(_NEEDED)}",
        )  # fmt: skip
    read = list(lines(file, options, journal))
    graded = [_number(line.cells, "label") for line in read]
    scale = _STRONGEST if any(abs(x) > 1 for x in graded if x is not None) else 1.0
    sounds = options.media or _folder(file, _SOUNDS, _SOUND)
    frames = _folder(file, _FRAMES, _FRAME)
    for line in read:
        with journal.row(line.where):
            yield _row(line, scale, sounds, frames, options)


def _row(line: Line, scale: float, sounds: Path | None, frames: Path | None, options: Options) -> Row:
    cells = line.cells
    content: dict[str, str | bytes | Path] = {"text": cells["text"]} if cells["text"] else {}
    if sounds:
        content["audio"] = _medium(sounds, cells, _SOUND)
    if frames:
        content["image"] = _medium(frames, cells, _FRAME)
    if not content:
        raise RowError("it has neither text nor sound")
    polarity = _polarity(cells, "label", scale)
    if polarity is None:
        raise RowError("its label is empty")
    unimodal = {
        name: Said(sentiment_from(value))
        for name, column in _ALONE.items()
        if name in content and (value := _polarity(cells, column, scale)) is not None
    }
    return Row(
        line.where, content, sentiment_from(polarity), polarity, unimodal=unimodal,
        lang=options.lang or language(cells["text"], "en"), source=options.source,
        split=cells.get("mode", "").casefold(), group=f"video {cells['video_id']}",
    )  # fmt: skip


def _polarity(cells: Mapping[str, str], column: str, scale: float) -> float | None:
    value = _number(cells, column)
    if value is None:
        if cells.get(column):
            raise RowError(
                f"{column} is {cells[column]!r:.40}", f"It is a number from -{scale:g} to {scale:g}"
            )
        return None
    if abs(value) > scale:
        raise RowError(f"{column} is {value:g}", f"It is a number from -{scale:g} to {scale:g}")
    return value / scale


def _number(cells: Mapping[str, str], column: str) -> float | None:
    try:
        value = float(cells.get(column, ""))
    except ValueError:
        return None
    return value if isfinite(value) else None


def _medium(folder: Path, cells: Mapping[str, str], suffixes: tuple[str, ...]) -> Path:
    """A clip's file, whether clips lie in a folder for each video or beside each other."""
    video, clip = cells["video_id"], cells["clip_id"]
    clips = dict.fromkeys((clip, clip.zfill(4), clip.lstrip("0") or "0"))
    for stem in (f"{video}{mark}{c}" for c in clips for mark in ("/", "_", "$_$")):
        for suffix in suffixes:
            if (path := folder / f"{stem}{suffix}").is_file():
                return path
    raise RowError(
        f"there is no {folder / video / clip}{suffixes[0]}", "Put the missing media where the rows say"
    )


def _folder(file: Path, names: tuple[str, ...], suffixes: tuple[str, ...]) -> Path | None:
    """The folder with a usual name that holds such media at any depth."""
    folders = (file.parent / name for name in names)
    return next((f for f in folders if f.is_dir() and any(p.suffix in suffixes for p in f.rglob("*"))), None)


def _file(path: Path) -> Path:
    return path / FILE if path.is_dir() else path
