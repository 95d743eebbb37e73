"""What the generator's posts are made of: everyday, mild, in English and Chinese.

A pool holds one template a line; ``<name>`` is a slot, ``{a|b}`` a choice.
"""

from __future__ import annotations

from engines.training.phrases import (
    english_moderation,
    english_sentiment,
    english_slots,
    chinese_moderation,
    chinese_sentiment,
    chinese_slots,
)

SLOTS = {"en": english_slots.SLOTS, "zh": chinese_slots.SLOTS}
"""Language → slot → its fillers, parted by ``|``."""

POOLS = {
    "en": english_sentiment.POOLS | english_moderation.POOLS,
    "zh": chinese_sentiment.POOLS | chinese_moderation.POOLS,
}
"""Language → pool → templates, one a line."""
