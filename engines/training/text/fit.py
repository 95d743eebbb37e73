"""Text networks fitted to soft, partly known targets, in batches of like lengths; a cut run goes on."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from engines.training.text.rows import LABELS, Table

Log = Callable[[str], None]
Encode = Callable[[list[str], np.random.Generator], tuple[NDArray[np.int32], ...]]
"""Texts as the padded arrays that a tower takes."""


_ROUND = 8


class Judged(nn.Module):
    """A text tower with its expert: one linear layer over its tokens, sentiment before labels."""

    def __init__(self, tower: nn.Module, size: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.tower = tower
        self.dropout = nn.Dropout(dropout)
        self.expert = nn.Linear(size, 3 + len(LABELS))

    def forward(self, *inputs: Tensor) -> Tensor:
        """Logits float32 [B, 3 + labels]."""
        logits: Tensor = self.expert(self.dropout(self.tower(*inputs).flatten(1)))
        return logits


@dataclass(frozen=True, slots=True)
class Run:
    """One fitting: rows by number in batches, and the learning rate of each group of parameters."""

    name: str
    batches: Sequence[NDArray[np.intp]]
    groups: Sequence[tuple[Sequence[nn.Parameter], float]]
    seed: int
    decay: float = 0.01
    warm_up: float = 0.06
    mixed: bool = True


def padded(rows: Sequence[NDArray[np.int32]]) -> NDArray[np.int32]:
    """Int32 [rows, longest, rounded up], zeros behind."""
    longest = max(map(len, rows))
    out = np.zeros((len(rows), -longest // _ROUND * -_ROUND), np.int32)
    for line, row in zip(out, rows, strict=True):
        line[: len(row)] = row
    return out


def batched(
    lengths: NDArray[np.integer], rows: NDArray[np.intp], cells: int, random: np.random.Generator
) -> list[NDArray[np.intp]]:
    """``rows`` in batches of about ``cells`` padded cells, alike in length, in random order."""
    jittered = lengths[rows] + random.random(len(rows)) * 3  # so that batches differ from run to run
    order = rows[np.argsort(jittered, kind="stable")]
    out, start = [], 0
    while start < len(order):
        end = start + 1
        while end < len(order) and (end + 1 - start) * lengths[order[end]] <= cells:
            end += 1
        end = start + max(_ROUND, (end - start) // _ROUND * _ROUND)  # few shapes: each costs a set-up
        out.append(order[start:end])
        start = end
    return [out[k] for k in random.permutation(len(out))]


def loss_of(logits: Tensor, rows: Table, index: NDArray[np.intp]) -> Tensor:
    """Cross-entropy of the sentiment and binary cross-entropy of the labels, each row as it counts."""
    target, weight = torch.from_numpy(rows.sentiment[index]), torch.from_numpy(rows.sentiment_weight[index])
    sentiment = -(target * functional.log_softmax(logits[:, :3], dim=1)).sum(dim=1) * weight
    labels = functional.binary_cross_entropy_with_logits(
        logits[:, 3:], torch.from_numpy(rows.labels[index]), reduction="none"
    ) * torch.from_numpy(rows.label_weight[index])
    return (sentiment.sum() + 1.5 * labels.sum()) / len(index)


def fit(net: Judged, rows: Table, encode: Encode, run: Run, kept: Path, log: Log) -> Judged:
    """Fit ``net``; ``kept`` is the file of the state so far, written every minute."""
    groups = [{"params": list(params), "lr": rate} for params, rate in run.groups]
    optimiser = torch.optim.AdamW(groups, weight_decay=run.decay, fused=True)
    total, first = len(run.batches), 0
    rates = [rate for _, rate in run.groups]
    if kept.exists():
        state = torch.load(kept, weights_only=True)
        net.load_state_dict(state["net"])
        optimiser.load_state_dict(state["optimiser"])
        first = state["step"]
    net.train()
    saved, seen = time.monotonic(), 0.0
    for step in range(first, total):
        index = run.batches[step]
        random = np.random.default_rng([run.seed, step])
        torch.manual_seed(run.seed * 1_000_003 + step)
        inputs = [torch.from_numpy(array) for array in encode([rows.texts[k] for k in index], random)]
        with torch.autocast("cpu", torch.bfloat16, enabled=run.mixed):
            logits = net(*inputs)
        loss = loss_of(logits.float(), rows, index)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * _schedule(step / total, run.warm_up)
        optimiser.step()
        seen = 0.98 * seen + 0.02 * float(loss.detach()) if step > first else float(loss.detach())
        if step + 1 == total or time.monotonic() - saved > 60:
            _keep(kept, net, optimiser, step + 1)
            saved = time.monotonic()
            log(f"{run.name}: step {step + 1} of {total}, loss {seen:.3f}")
    return net.eval()


def _schedule(done: float, warm_up: float) -> float:
    """Linear up, linear down."""
    return min(done / warm_up, (1 - done) / (1 - warm_up)) + 1e-3


def _keep(kept: Path, net: nn.Module, optimiser: torch.optim.Optimizer, step: int) -> None:
    part = kept.with_suffix(".part")
    torch.save({"net": net.state_dict(), "optimiser": optimiser.state_dict(), "step": step}, part)
    part.replace(kept)
