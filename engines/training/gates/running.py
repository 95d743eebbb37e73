"""All gates, over three seeds and every fusion."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from engines.batch import MODALITIES
from engines.model.fusion import FUSIONS
from engines.training import synth
from engines.training.dataset import Events
from engines.training.gates import Gate
from engines.training.gates.fusing import additive_gap, flips, probe, shares, shown, within
from engines.training.gates.serving import serving
from engines.training.gates.small import SIZES, Small, Stock, train
from engines.training.metrics import auroc
from engines.training.synth import Sizes
from engines.training.watch import Watch

SEEDS = (1, 2, 3)
ALONE = {"text": 1, "image": 2}
SAMPLE = 200
"""Events whose texts and images are paired with one another for the additive projection."""
FEWEST = 12
"""Events of a label below which its mean share says nothing."""
_DATA_SEED = 11
_KNOWN = "mean AUROC over the labels, alike events"


def run(
    seeds: Sequence[int] = SEEDS, sizes: Sizes = SIZES, watch: Watch | None = None, folder: Path | None = None
) -> list[Gate]:
    """Train the small model for each seed, with every fusion for the first, and measure all gates."""
    watch = watch or Watch()
    data = synth.generate(_DATA_SEED, sizes)
    watch("gates: events are generated")
    found: list[Gate] = []
    with tempfile.TemporaryDirectory() as made:
        work = folder or Path(made)
        stock = Stock.of(data, work / "kept", watch)
        for seed in seeds:
            model, of = train(stock, seed), f"seed {seed}"
            found += [*crossed(model, of), *unimodal(model, of)]
            found.append(Gate(_KNOWN, of, knowledge(model), 0.9))
            watch(f"gates: seed {seed} is measured")
        for fusion in FUSIONS:
            model, of = train(stock, seeds[0], fusion), f"seed {seeds[0]}, {fusion}"
            found.append(_fused(model, of))
            if fusion == next(iter(FUSIONS)):
                found += serving(model, f"seed {seeds[0]}", Path(made) / "bundle")
        # Texts of one template learn the same wrong answer, so that one draw alone is off by some hundredths.
        found += control([train(stock.shuffled(seed), seed) for seed in seeds], "shuffled labels")
    return found


def crossed(model: Small, of: str) -> Iterator[Gate]:
    """The label that text and image only tell together, each of whose factors is balanced."""
    k, events = _crossed(model)
    rows, truth, answer = events.rows, events.labels[:, k], model.label(k)
    yield _fused(model, of)
    for name, found in _alone(model, k).items():
        yield Gate(f"XOR: AUROC of a reader of {name} alone", of, found, 0.45, 0.55)
    pairs = np.flatnonzero(events.presence == 3)[:SAMPLE]
    gap = additive_gap(answer, rows[pairs], truth[pairs])
    yield Gate("XOR: AUROC lost when modalities only add up", of, gap, 0.3)
    family = np.array([model.here.data.parts[1][row].factor for row in rows[:, 1]])
    yield Gate("XOR: decisions that an image swap flips", of, flips(answer, rows, family), 0.9)
    flagged = shown(rows[truth == 1], 3)
    for m, name in enumerate(ALONE):
        yield Gate(f"XOR: Shapley share of {name}", of, float(shares(answer, flagged)[:, m].mean()), 0.3)


def unimodal(model: Small, of: str) -> Iterator[Gate]:
    """Labels that one part of an event gives away: that part's modality must carry them."""
    events, parts = model.stock.asked, model.here.data.parts
    events = events.where((events.rows >= 0).sum(axis=1) > 1)
    for k, label in enumerate(model.here.data.labels.labels):
        says = np.array(
            [
                [row >= 0 and parts[m][row].labels.get(label.name) == 1 for m, row in enumerate(event)]
                for event in events.rows
            ]
        ).reshape(len(events), 3)
        chosen = np.flatnonzero((says.sum(axis=1) == 1) & (events.labels[:, k] == 1))
        chosen = chosen[:SAMPLE]
        if len(chosen) >= FEWEST:
            share = shares(model.label(k), events.rows[chosen])[says[chosen]].mean()
            yield Gate(f"{label.name}: Shapley share of who shows it", of, float(share), 0.6)


def knowledge(model: Small) -> float:
    """What a model knows of held-out parts: AUROC within events of the same modalities, mean of the labels.

    Across them, which modalities an event has would count as knowledge: most labels are rare beside an image
    and violence is frequent beside a sound; priors, which a control may keep.
    """
    events = model.stock.asked
    said = model.logits(events.rows).moderation
    found = []
    for k in range(len(model.here.data.labels)):
        known = events.labels[:, k] >= 0
        found.append(within(events.labels[known, k], said[known, k], events.presence[known]))
    return float(np.mean(found))


def control(models: Sequence[Small], of: str) -> Iterator[Gate]:
    """Models of labels that mean nothing know nothing of the true ones, by the measures that others pass."""
    yield Gate(_KNOWN, of, float(np.mean([knowledge(model) for model in models])), 0.45, 0.55)
    yield Gate("XOR: AUROC fused", of, float(np.mean([_xor(model) for model in models])), 0.45, 0.55)


def _fused(model: Small, of: str) -> Gate:
    return Gate("XOR: AUROC fused", of, _xor(model), 0.95)


def _xor(model: Small) -> float:
    k, events = _crossed(model)
    return auroc(events.labels[:, k], model.label(k)(events.rows))


def _alone(model: Small, k: int) -> dict[str, float]:
    """AUROC of a linear reader of one modality's tokens, which nothing keeps from the label."""
    events, (_, asked) = model.here.data.events, _crossed(model)
    learnt = events.where(events.crossed & (events.split == 0) & (events.labels[:, k] >= 0))
    found = {}
    for name in ALONE:
        m = MODALITIES.index(name)
        tokens = model.tokens[m].flatten(1).numpy()
        guess = probe(tokens[learnt.rows[:, m]], learnt.labels[:, k], tokens[asked.rows[:, m]])
        found[name] = auroc(asked.labels[:, k], guess)
    return found


def _crossed(model: Small) -> tuple[int, Events]:
    """The column of the label that always needs several modalities, and held-out events balanced over it."""
    labels, held = model.here.data.labels.labels, model.held()
    k = next(k for k, label in enumerate(labels) if all(len(own) > 1 for own in label.evidence))
    return k, held.where(held.crossed & (held.labels[:, k] >= 0))
