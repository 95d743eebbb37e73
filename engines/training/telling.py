"""Which held-out events a bundle carries along, so that it can be judged where its data is not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.bundle import EVALUATION
from engines.evaluation import write_evaluation
from engines.training.dataset import SPLITS, Events
from engines.training.inputs import Inputs, example

EVENTS: Final = 1_200
"""Events that are wanted."""
BYTES: Final = 2_000_000
"""What their inputs may take."""
MEDIA: Final = 0.6
"""The share of both that events with images or sounds get, before texts are taken."""
HELD: Final = ("test", "ood", "calibrate")
"""Splits that never taught, the first of them first."""

Mask = NDArray[np.bool_]


def write_telling(
    folder: Path,
    inputs: Inputs,
    events: Events,
    channels: Sequence[str],
    most: int = EVENTS,
    size: int = BYTES,
) -> int:
    """Write the evaluation set of a bundle's ``folder``: held-out events, with what is known of them. How
    many; where there are none, nothing is written.
    """
    picked = telling(inputs, events, most, size)
    if len(picked):
        rows = [example(inputs, row) for row in events.rows[picked]]
        path = folder / EVALUATION
        write_evaluation(path, rows, events.sentiment[picked], events.labels[picked], channels)
    return len(picked)


def telling(inputs: Inputs, events: Events, most: int = EVENTS, size: int = BYTES) -> NDArray[np.intp]:
    """Places of held-out events, ascending, of every presence pattern, language and label in turn; of events
    with media the shortest. The same for the same events.
    """
    taken = _Taken(inputs, events)
    media = events.presence != 1
    for split in HELD:
        here = events.split == SPLITS.index(split)
        for mask, share in ((here & media, MEDIA), (here & ~media, 1.0), (here & media, 1.0)):
            taken.take(mask, round(share * most), int(share * size))
    return np.sort(np.array(taken.places, np.intp))


class _Taken:
    """The events that were taken, and the bytes of their inputs, where shared ones count once."""

    def __init__(self, inputs: Inputs, events: Events) -> None:
        texts = [sum(channel.nbytes for channel in text) for text in inputs[0]]
        self._costs = [[*texts], [row.nbytes for row in inputs[1]], [row.nbytes for row in inputs[2]]]
        self._rows = events.rows.tolist()
        self._strata = _strata(events)
        self._chance = np.random.default_rng(0).permutation(len(events)).tolist()
        self._kept: set[tuple[int, int]] = set()
        self._bytes = 0
        self.places: list[int] = []

    def take(self, mask: Mask, most: int, size: int) -> None:
        """From each stratum in turn, until there are so many events or bytes."""
        queues: dict[str, list[int]] = defaultdict(list)
        known = set(self.places)
        for k in np.flatnonzero(mask).tolist():
            if k not in known:
                queues[self._strata[k]].append(k)
        for queue in queues.values():
            queue.sort(key=self._order, reverse=True)
        while queues and len(self.places) < most:
            for name in sorted(queues):
                if len(self.places) < most:
                    self._one(queues[name], size)
                if not queues[name]:
                    del queues[name]

    def _one(self, queue: list[int], size: int) -> None:
        """The first of a queue that fits; what doesn't is left out."""
        while queue:
            place = queue.pop()
            new = [own for own in enumerate(self._rows[place]) if own[1] >= 0 and own not in self._kept]
            cost = sum(self._costs[m][k] for m, k in new)
            if self._bytes + cost <= size:
                self._kept.update(new)
                self._bytes += cost
                self.places.append(place)
                return

    def _order(self, place: int) -> tuple[int, int]:
        _, image, sound = self._rows[place]
        media = (self._costs[1][image] if image >= 0 else 0) + (self._costs[2][sound] if sound >= 0 else 0)
        return media, self._chance[place]


def _strata(events: Events) -> list[str]:
    """What kind each event is: its modalities, language, and first label or else sentiment."""
    shown = (events.labels == 1).any(axis=1)
    says = np.where(shown, events.labels.argmax(axis=1) + 3, events.sentiment) if events.labels.size else (
        events.sentiment)  # fmt: skip
    kinds = zip(events.presence.tolist(), events.lang.tolist(), says.tolist(), strict=True)
    return [f"{presence} {lang} {said}" for presence, lang, said in kinds]
