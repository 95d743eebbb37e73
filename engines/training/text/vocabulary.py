"""MiniLM's vocabulary cut to what the data uses, and extended by Chinese characters."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer
from torch import Tensor

from engines.preprocess.normalise import normalise

GLOSSES: Final = Path(__file__).parent / "glosses.tsv"
"""Character → English words, from the Unihan database's kDefinition (Unicode licence)."""
_IDEOGRAPH: Final = re.compile("[\u3400-\u9fff]")
_RESERVED: Final = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def cut(tokenizer: Tokenizer, english: Iterable[str], chinese: Iterable[str], least: int = 2) -> Tokenizer:
    """A tokenizer of the same kind with the pieces that occur ``least`` times or more, [PAD] being 0."""
    pieces: Counter[str] = Counter()
    texts = [normalise(text) for text in english]
    for start in range(0, len(texts), 4096):
        for encoding in tokenizer.encode_batch(texts[start : start + 4096], add_special_tokens=False):
            pieces.update(encoding.tokens)
    characters = Counter(c for text in chinese for c in _IDEOGRAPH.findall(normalise(text)))
    single = {piece for piece in tokenizer.get_vocab() if len(piece.removeprefix("##")) == 1}
    known = {piece for piece, count in pieces.items() if count >= least} | single
    common = sorted((c for c, count in characters.items() if count >= least), key=lambda c: -characters[c])
    order = [*_RESERVED, *sorted(known - set(_RESERVED) - set(common)), *common]
    tree: dict[str, Any] = json.loads(tokenizer.to_str())
    tree["model"]["vocab"] = {piece: k for k, piece in enumerate(order)}
    tree["added_tokens"] = [
        {**token, "id": order.index(token["content"])}
        for token in tree["added_tokens"]
        if token["content"] in _RESERVED
    ]
    for token, kept in tree["post_processor"].get("special_tokens", {}).items():
        kept["ids"] = [order.index(token)]
    tree["truncation"] = tree["padding"] = None
    return Tokenizer.from_str(json.dumps(tree))


def embeddings(old: Tokenizer, weights: Tensor, new: Tokenizer) -> Tensor:
    """Rows of ``weights`` float32 [old, width] for the new vocabulary: a character that was not known
    starts as the mean of its English gloss, else as the mean of all.
    """
    before = old.get_vocab()
    fallback = weights.mean(dim=0)
    rows = []
    for piece, _ in sorted(new.get_vocab().items(), key=lambda item: item[1]):
        if piece in before:
            rows.append(weights[before[piece]])
        else:
            words = old.encode(glosses().get(piece, ""), add_special_tokens=False).ids
            rows.append(weights[words].mean(dim=0) if words else fallback)
    return torch.stack(rows)


@cache
def glosses() -> dict[str, str]:
    """English words for each Chinese character."""
    lines = GLOSSES.read_text("utf-8").splitlines()
    return dict(line.split("\t", 1) for line in lines)
