"""The Hateful Memes challenge: JSON lines of ``id``, ``img``, ``label`` and ``text`` beside their images.

D. Kiela and others, "The Hateful Memes Challenge", NeurIPS 2020.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from engines.training.loaders.options import Options
from engines.training.loaders.table import split_of_name
from engines.training.rows import Journal, Row, RowError, medium

LABEL: Final = "hate/meme"
"""What `label` 1 means, unless ``options.mapping`` says otherwise: ``{"label": "hate"}``."""
_SUFFIXES: Final = (".jsonl", ".json")


def sniff(path: Path) -> bool:
    """Whether there is a file whose first line has ``img`` and ``text``."""
    return any(_first(file).keys() >= {"img", "text"} for file, _ in _files(path))


def rows(path: Path, options: Options, journal: Journal) -> Iterator[Row]:
    """One event of text and image for each meme. Of a folder, each file is the split of its name; a meme that
    stands in several files counts once, and those without a label are left out.
    """
    label = options.mapping.get("label", LABEL)
    seen: set[str] = set()
    for file, split in _files(path):
        folder = options.media or file.parent
        with file.open("rb") as text:
            for number, data in enumerate(text, 1):
                where = f"{file}, line {number}"
                if not data.strip():
                    continue
                with journal.row(where):
                    line = _line(data)
                    name = str(line.get("id", line["img"]))
                    if name in seen:
                        journal.count("the meme stands there already: left out")
                    elif line.get("label") is None:
                        journal.count("no label: left out")
                    else:
                        yield _row(line, where, folder, label, split, options)
                    seen.add(name)


def _row(line: Mapping[str, Any], where: str, folder: Path, label: str, split: str, options: Options) -> Row:
    value = line["label"]
    if value not in (0, 1, "0", "1"):
        raise RowError(f"`label` is {value!r:.40}", "It is 0 or 1")
    content: dict[str, str | bytes | Path] = {"image": medium(folder, str(line["img"]))}
    if text := str(line["text"]).strip():
        content["text"] = text
    return Row(
        where, content, moderation={label: int(value)}, lang=options.lang or "en", source=options.source,
        split=split,
    )  # fmt: skip


def _line(data: bytes) -> Mapping[str, Any]:
    try:
        line = json.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError) as error:
        raise RowError(f"it is not JSON ({error})"[:120], "Write one JSON object a line") from error
    if not isinstance(line, Mapping) or not line.keys() >= {"img", "text"}:
        raise RowError("it has no `img` and `text`", "A row has id, img, label and text")
    return line


def _files(path: Path) -> list[tuple[Path, str]]:
    if not path.is_dir():
        return [(path, "")] if path.suffix in _SUFFIXES and path.is_file() else []
    found = sorted(p for p in path.iterdir() if p.suffix == ".jsonl")
    return [(p, split_of_name(p.stem)) for p in found]


def _first(file: Path) -> Mapping[str, Any]:
    with file.open("rb") as text:
        try:
            line = json.loads(text.readline(1 << 16).removeprefix(b"\xef\xbb\xbf"))
        except (ValueError, RecursionError):
            return {}
    return line if isinstance(line, Mapping) else {}
