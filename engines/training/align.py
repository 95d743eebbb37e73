"""Events in the columns of a bundle's labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engines.errors import EngineError
from engines.labels import Labels
from engines.training.dataset import Dataset
from engines.training.taxonomy import UNKNOWN


def aligned(data: Dataset, labels: Labels) -> Dataset:
    """The same events with one column for each of ``labels``; what they don't annotate is unknown there.

    Labels of the data that the bundle lacks are left out, and named in ``notes``. Raises EngineError where
    nothing is left to compare.
    """
    theirs = {name: k for k, name in enumerate(data.labels.names)}
    places = [theirs.get(name, -1) for name in labels.names]
    if max(places, default=-1) < 0 and (data.events.sentiment == UNKNOWN).all():
        raise EngineError(
            "These events say nothing about this bundle",
            why=f"they hold the labels {', '.join(theirs) or 'none'} and no sentiment, "
            f"the bundle has {', '.join(labels.names) or 'no label, only sentiment'}",
            remedy="Name the labels as the bundle does, for example with --labels",
        )
    if data.labels == labels:
        return data
    blank = np.full((len(data.events), 1), UNKNOWN, np.int8)
    columns = {
        name: np.concatenate([getattr(data.events, name), blank], axis=1)[:, places]
        for name in ("labels", "severity")
    }
    strange = [name for name in theirs if name not in labels.names]
    note = (f"labels that the bundle does not have were left out: {', '.join(strange)}",) if strange else ()
    return Dataset(data.parts, replace(data.events, **columns), labels, (*data.notes, *note))
