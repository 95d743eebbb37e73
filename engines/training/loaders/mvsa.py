"""MVSA-Single and MVSA-Multiple: ``data/<id>.txt`` and ``.jpg`` with labelResultAll.txt.

T. Niu and others, "Sentiment Analysis on Multi-view Social Data", MMM 2016. Labels are joined as N. Xu and
W. Mao do in "MultiSentiNet", CIKM 2017: what most annotators say of the text and of the image; where one of
the two is neutral the other counts, and a positive beside a negative is left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from engines.batch import SENTIMENTS
from engines.training.loaders.options import Options
from engines.training.loaders.table import read
from engines.training.rows import Journal, Row, RowError, Said, medium
from engines.training.taxonomy import NEUTRAL, UNKNOWN

FILE: Final = "labelResultAll.txt"
_CELLS: Final = re.compile(r"[\t,]")


def sniff(path: Path) -> bool:
    """Whether this is labelResultAll.txt, or a folder with it."""
    return (path / FILE).is_file() or (path.name == FILE and path.is_file())


def rows(path: Path, options: Options, journal: Journal) -> Iterator[Row]:
    """One event of text and image for each post that its annotators agree on."""
    file = path / FILE if path.is_dir() else path
    folder = options.media or file.parent / "data"
    for number, line in enumerate(read(file).split("\n"), 1):
        where = f"{file}, line {number}"
        cells = [cell.strip().casefold() for cell in _CELLS.split(line.strip())]
        if cells == [""] or cells[0] == "id":
            continue
        with journal.row(where):
            text, image = _votes(cells[1:])
            sentiment = joined(text, image)
            if sentiment == UNKNOWN:
                journal.count("annotators disagree: left out")
            else:
                content = _content(folder, cells[0], options)
                said = {
                    name: Said(value) for name, value in (("text", text), ("image", image)) if name in content
                }
                yield Row(
                    where, content, sentiment, unimodal=said, lang=options.lang or "en", source=options.source
                )


def joined(text: int, image: int) -> int:
    """The sentiment of a post from those of its text and image; UNKNOWN where they contradict."""
    if UNKNOWN in (text, image) or text == image:
        return text if text == image else UNKNOWN
    return image if text == NEUTRAL else text if image == NEUTRAL else UNKNOWN


def _votes(cells: list[str]) -> tuple[int, int]:
    strange = [cell for cell in cells if cell not in SENTIMENTS]
    if len(cells) < 2 or len(cells) % 2 or strange:
        raise RowError(
            f"its labels are {', '.join(cells)!r:.60}", f"A row is an id and pairs of {', '.join(SENTIMENTS)}"
        )
    return _majority(cells[::2]), _majority(cells[1::2])


def _majority(votes: list[str]) -> int:
    most = Counter(votes).most_common()
    tied = len(most) > 1 and most[0][1] == most[1][1]
    return UNKNOWN if tied else SENTIMENTS.index(most[0][0])


def _content(folder: Path, name: str, options: Options) -> dict[str, str | bytes | Path]:
    file = medium(folder, f"{name}.txt")
    # The posts were saved in whatever the crawler's system used; Latin-1 never fails.
    text = read(file, options.encoding, ("utf-8", "cp1252", "latin-1")).strip()
    content: dict[str, str | bytes | Path] = {"text": text} if text else {}
    return {**content, "image": medium(folder, f"{name}.jpg")}
