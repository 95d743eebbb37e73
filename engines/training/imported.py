"""What an imported bundle carries besides its graphs: golden vectors from torch, and a card that says so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from engines.batch import MODALITIES, Example
from engines.golden import write_golden
from engines.model.checkpoint import Checkpoint
from engines.model.fusion import FusionHead
from engines.preprocess.spec import Preprocess
from engines.preprocess.text import text_encoder
from engines.training.mapfile import MapFile

_TEXTS: Final = (
    "The food was great, but nobody came for an hour.",
    "这部电影真的不错",
    "no",
    "!!! ok ok 123",
)
_SECONDS: Final = 0.7  # of sound in a golden row: short, for every row is in the file


def record(path: Path, towers: Sequence[Any], head: FusionHead, preprocess: Preprocess) -> None:
    """Golden vectors of every presence pattern; what is expected is torch's, one row at a time.

    So loading the bundle compares the exported graphs with the networks that they were made from.
    """
    rows = [_example(preprocess, pattern, k) for k, pattern in enumerate((1, 2, 4, 3, 5, 6, 7, 1))]
    answers = [_answer(row, towers, head) for row in rows]
    names = ("sentiment", "moderation", "unimodal")
    expected = {
        name: torch.cat(found).numpy() for name, found in zip(names, zip(*answers, strict=True), strict=True)
    }
    write_golden(path, rows, expected, preprocess.text.channels)


def _example(preprocess: Preprocess, presence: int, seed: int) -> Example:
    random, spec = np.random.default_rng(seed), preprocess.image
    sound = np.cumsum(random.normal(0, 900, int(_SECONDS * preprocess.audio.rate)))
    sound = (sound - sound.mean()).clip(-30_000, 30_000).astype(np.int16)
    small = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    pixels = np.tile(small, (spec.height // 4 + 1, spec.width // 4 + 1, 1))[: spec.height, : spec.width]
    text = text_encoder(preprocess.text).encode(_TEXTS[seed % len(_TEXTS)]).channels
    return Example(
        text if presence & 1 else None,
        [pixels] if presence & 2 else [],
        [sound[: preprocess.audio.samples]] if presence & 4 else [],
    )


@torch.no_grad()
def _answer(row: Example, towers: Sequence[Any], head: FusionHead) -> tuple[Tensor, Tensor, Tensor]:
    slots = [torch.zeros(1, 1, head.width) for _ in MODALITIES]
    if row.text is not None:
        slots[0] = towers[0](*(torch.from_numpy(ids)[None] for ids in row.text))
    if row.images:
        slots[1] = towers[1](torch.from_numpy(row.images[0])[None])
    if row.audio:
        samples = torch.from_numpy(row.audio[0].astype(np.float32))[None]
        slots[2] = towers[2](samples, torch.tensor([samples.shape[1]], dtype=torch.int32))
    presence = torch.tensor([[float(row.presence >> m & 1) for m in range(len(MODALITIES))]])
    said = dict(zip(head.outputs, head(*slots, presence), strict=True))
    return said["sentiment"], said.get("moderation", said["sentiment"][:, :0]), said["unimodal"]


def card(plan: MapFile, opened: Sequence[Checkpoint]) -> str:
    """MODEL_CARD.md: what was joined, how its classes are read, and that nothing was measured."""
    lines = [
        f"# {plan.name} {plan.version}",
        "",
        "**Not calibrated, and not measured.** This bundle joins existing models by late fusion: sentiment "
        "logits are added, odds of a label are added. Its probabilities are those of the models, which need "
        "not be true frequencies. Run `tidegate bundle calibrate` on your own labelled events before you act "
        "on them.",
        "",
        f"Licence: {plan.licence}.",
        "",
    ]
    for source, checkpoint in zip(plan.sources, opened, strict=True):
        lines += [
            f"## {source.folder.name}",
            "",
            f"{source.modality}, {checkpoint.config['model_type']}, {source.activation}.",
            "",
            "| its class | read as |",
            "|---|---|",
        ]
        if source.map is None:
            lines += ["| one or two stars | negative |", "| three | neutral |", "| four or five | positive |"]
        for name, targets in (source.map or {}).items():
            lines.append(f"| {_plain(name)} | {', '.join(targets) or 'ignored'} |")
        lines += [
            "",
            *(f"`{file}`: SHA-256 `{digest}`" for file, digest in checkpoint.digests().items()),
            "",
        ]
    return "\n".join(lines)


def _plain(name: str) -> str:
    return " ".join(name.replace("|", "/").replace("<", "‹").split())
