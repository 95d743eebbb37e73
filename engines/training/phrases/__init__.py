"""What the generator's posts are made of: everyday, mild, in English and Chinese.

A pool holds one template a line; ``<name>`` is a slot, ``{a|b}`` a choice.
"""

from __future__ import annotations

from engines.training.phrases import (
    chinese_moderation,
    chinese_sentiment,
    chinese_slots,
    english_moderation,
    english_sentiment,
    english_slots,
    everyday,
)

SLOTS = {
    "en": english_slots.SLOTS | everyday.ENGLISH_SLOTS,
    "zh": chinese_slots.SLOTS | everyday.CHINESE_SLOTS,
}
"""Language → slot → its fillers, parted by ``|``."""


def _joined(*groups: dict[str, str]) -> dict[str, str]:
    return {pool: "".join(group.get(pool, "") for group in groups) for group in groups for pool in group}


POOLS = {
    "en": _joined(english_sentiment.POOLS, english_moderation.POOLS, everyday.ENGLISH),
    "zh": _joined(chinese_sentiment.POOLS, chinese_moderation.POOLS, everyday.CHINESE),
}
"""Language → pool → templates, one a line."""
