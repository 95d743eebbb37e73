"""How scores look to a person: shared by the live table of `demo` and the table of `score`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.text import Text

Score = Mapping[str, Any]

COLOURS: Final = {
    "negative": "red",
    "neutral": "bright_black",
    "positive": "green",
    "allow": "green",
    "review": "yellow",
    "block": "bold red",
    "scored": "bold",
    "truncated": "yellow",
    "failed": "red",
    "absent": "bright_black",
}
"""The style of a sentiment, an action, an input's status."""

SIGNS: Final = {"failed": "✗", "absent": "·"}

HALF: Final = 5
"""Cells on each side of the sentiment bar."""

EIGHTHS: Final = " ▏▎▍▌▋▊▉█"


def modalities(score: Score) -> Text:
    """`T I A` by the worst that happened to each: a letter, a cross where it failed, a dot where absent."""
    order = ("failed", "truncated", "scored", "absent")
    text = Text()
    for name in ("text", "image", "audio"):
        found = [entry["status"] for entry in score["inputs"] if entry["modality"] == name] or ["absent"]
        status = min(found, key=order.index)
        text.append(" " if text else "")
        text.append(SIGNS.get(status, name[0].upper()), COLOURS[status])
    return text


def bar(polarity: float) -> str:
    """A bar from the middle to the left (negative) or right (positive), `2 * HALF + 1` cells wide."""
    eighths = round(min(abs(polarity), 1.0) * HALF * 8)
    full, rest = divmod(eighths, 8)
    if polarity < 0:  # a left-growing bar has whole cells only: fonts have no right-aligned eighths
        return "█" * round(eighths / 8) + "│"
    return "│" + "█" * full + (EIGHTHS[rest] if rest else "")


def sentiment(score: Score) -> Text:
    """The bar and the polarity, in the colour of the label."""
    block = score["sentiment"]
    if block["polarity"] is None:
        return Text("not evaluated", "bright_black italic")
    drawn = bar(block["polarity"])
    left = drawn.rjust(HALF + 1) if block["polarity"] < 0 else " " * HALF + drawn
    return Text(f"{left:<{2 * HALF + 1}} {block['polarity']:+.2f}", COLOURS[block["label"]])


def labels(score: Score, most: int = 2, least: float = 0.2) -> Text:
    """The strongest labels with their probabilities, quiet below one half."""
    found = ((name, each["probability"]) for name, each in score["moderation"].items())
    strong = sorted(((p, name) for name, p in found if p is not None and p >= least), reverse=True)[:most]
    text = Text()
    for p, name in strong:
        text.append("  " if text else "")
        text.append(f"{name} {p:.2f}", "bold" if p >= 0.5 else "bright_black")
    return text or Text("–", "bright_black")


def decision(score: Score) -> Text:
    """What the policy says."""
    action = score["decision"]["action"]
    return Text(action, COLOURS[action])


def failure(kind: str, reason: str) -> Text:
    """What became of an event without a score."""
    return Text.assemble((kind, "magenta"), ("/", "bright_black"), (reason, "bold magenta"))
