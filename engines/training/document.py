"""A document as blocks, written once and rendered twice: as Markdown and as one HTML page without scripts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading; level 1 is the document's title."""

    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Text with `code` and **strong**; ``warning`` sets it apart."""

    text: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list."""

    items: Sequence[str]


@dataclass(frozen=True, slots=True)
class Table:
    """A table; cells are text as in a paragraph."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Charts:
    """SVG pictures side by side: on the page only."""

    pictures: Sequence[str]


Block = Heading | Paragraph | Bullets | Table | Charts

STYLE: Final = """
:root{color-scheme:light dark;--ink:#1b2733;--soft:#5d6b7a;--line:#d5dce3;--paper:#fff;--accent:#1f6fb2;
--warn:#fff4e0;--warn-line:#d98b00}
@media(prefers-color-scheme:dark){:root{--ink:#e4eaf0;--soft:#9fb0c0;--line:#36424e;--paper:#14191f;
--accent:#63b0f0;--warn:#33270f;--warn-line:#d99a2b}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1080px;
margin:2rem auto;padding:0 1rem}
h1{font-size:1.8rem;line-height:1.2}h2{margin-top:2.5rem;border-bottom:1px solid var(--line)}
h3{margin:1.6rem 0 .4rem}code{font-size:.92em;overflow-wrap:anywhere}
.scroll{overflow-x:auto}table{border-collapse:collapse;margin:.8rem 0;font-variant-numeric:tabular-nums}
th,td{border-bottom:1px solid var(--line);padding:.25rem .8rem .25rem 0;text-align:left;vertical-align:top}
th{color:var(--soft);font-weight:600}.warning{background:var(--warn);border-left:4px solid var(--warn-line);
padding:.7rem 1rem}.charts{display:flex;flex-wrap:wrap;gap:.8rem}
svg text{fill:var(--ink);font:11px system-ui,sans-serif}svg .small{font-size:9.5px;fill:var(--soft)}
svg .title{font-weight:600}svg .middle{text-anchor:middle}svg .end{text-anchor:end}
svg .box{fill:none;stroke:var(--line)}svg .curve{fill:none;stroke:var(--accent);stroke-width:1.8}
svg .ideal{fill:none;stroke:var(--soft);stroke-dasharray:4 4}svg .dot{fill:var(--accent)}
svg .mark{fill:var(--warn-line)}svg .tag{font-size:9.5px;text-anchor:end}svg .cell{fill:var(--accent)}
svg .light{fill:var(--paper)}
"""


def markdown(blocks: Sequence[Block]) -> str:
    """The document as Markdown, without its charts."""
    parts = [text for block in blocks if (text := _markdown(block))]
    return "\n\n".join(parts) + "\n"


def page(blocks: Sequence[Block], title: str) -> str:
    """The document as one HTML page that needs nothing else."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>\n"
        + "\n".join(_html(block) for block in blocks)
        + "\n</body></html>\n"
    )


def _markdown(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Paragraph(text, warning):
            return f"> {text}" if warning else text
        case Bullets(items):
            return "\n".join(f"- {item}" for item in items)
        case Table(head, rows):
            lines = [head, ["---"] * len(head), *rows]
            return "\n".join("| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines)
        case Charts():
            return ""


def _html(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level}>{_inline(text)}</h{level}>"
        case Paragraph(text, warning):
            kind = ' class="warning"' if warning else ""
            return f"<p{kind}>{_inline(text)}</p>"
        case Bullets(items):
            return "<ul>" + "".join(f"<li>{_inline(item)}</li>" for item in items) + "</ul>"
        case Table(head, rows):
            top = "".join(f"<th>{_inline(cell)}</th>" for cell in head)
            body = "".join("<tr>" + "".join(f"<td>{_inline(c)}</td>" for c in row) + "</tr>" for row in rows)
            return f'<div class="scroll"><table><tr>{top}</tr>{body}</table></div>'
        case Charts(pictures):
            return f'<div class="charts">{"".join(pictures)}</div>' if pictures else ""


def _inline(text: str) -> str:
    safe = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))
    return re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", safe)
