"""Training inputs changed in ways that leave their labels true: each modality by itself, all of it seeded.

Never for calibration, test or serving. Hiding whole modalities is part of training the fusion, not of this.
"""

from __future__ import annotations

import numpy as np

from engines.training.augment.image import disturb_image
from engines.training.augment.sound import disturb_sound
from engines.training.augment.text import disturb_text

__all__ = ["disturb_image", "disturb_sound", "disturb_text", "random_of"]


def random_of(seed: int, epoch: int, row: int) -> np.random.Generator:
    """The randomness of one row in one epoch: the same whatever the order or the number of workers."""
    return np.random.default_rng([seed, epoch, row])
