"""One digest of all labelled events, so that what was fitted or measured on them can name them."""

from __future__ import annotations

import hashlib

from engines.training.dataset import Dataset


def fingerprint(data: Dataset) -> str:
    """SHA-256 in hexadecimal over labels, annotations, and the content of every part.

    Raises EngineError where a medium cannot be read.
    """
    whole = hashlib.sha256("\n".join(data.labels.names).encode())
    for name in data.events.__slots__:
        column = getattr(data.events, name)
        # Their widths depend on the longest one, which says nothing; so texts go in as texts.
        whole.update("\0".join(column).encode() if column.dtype.kind == "U" else column.tobytes())
    for own in data.parts:
        for part in own:
            whole.update(hashlib.sha256(part.read()).digest())
    return whole.hexdigest()
