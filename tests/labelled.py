"""Labelled events in files, small enough to train on in seconds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engines.batch import SENTIMENTS
from engines.training.texts import posts

POOLS = ("positive", "neutral", "negative", "harassment")


def write(path: Path, rows: Iterable[dict[str, Any] | str]) -> Path:
    """A file of JSON lines; a string stands as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def texts(count: int = 500, seed: int = 1) -> list[dict[str, Any]]:
    """Posts with sentiment and one label, harassment; three in five to train on, the rest held out."""
    made = {part.content: part for part in posts(seed, count, POOLS) if part.sentiment >= 0}
    splits = ("train", "train", "train", "calibrate", "test")
    return [
        {
            "text": str(text),
            "lang": part.lang,
            "split": splits[k % len(splits)],
            "group": f"g{k}",
            "labels": {
                "sentiment": SENTIMENTS[part.sentiment],
                "moderation": {"harassment": part.labels.get("harassment")},
            },
        }
        for k, (text, part) in enumerate(made.items())
    ]
