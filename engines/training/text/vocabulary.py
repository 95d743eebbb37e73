"""A pretrained encoder's vocabulary, cut to what the data uses."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import torch
from tokenizers import Tokenizer
from torch import Tensor

from engines.preprocess.normalise import normalise

_RESERVED: Final = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def cut(tokenizer: Tokenizer, texts: Sequence[str], least: int = 2) -> Tokenizer:
    """A tokenizer of the same kind with the pieces that occur ``least`` times or more in ``texts``, and every
    character that it knows; [PAD] is 0. A continuation ("##") must occur, whatever its length.
    """
    pieces: Counter[str] = Counter()
    for start in range(0, len(texts), 4096):
        normal = [normalise(text) for text in texts[start : start + 4096]]
        for encoding in tokenizer.encode_batch(normal, add_special_tokens=False):
            pieces.update(encoding.tokens)
    known = {piece for piece in tokenizer.get_vocab() if len(piece) == 1 or pieces[piece] >= least}
    order = [*_RESERVED, *sorted(known - set(_RESERVED))]
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
    """The rows of ``weights`` float32 [old, width] that the new vocabulary keeps, in its order."""
    before = old.get_vocab()
    pieces = sorted(new.get_vocab().items(), key=lambda item: item[1])
    return weights[torch.tensor([before[piece] for piece, _ in pieces])]
