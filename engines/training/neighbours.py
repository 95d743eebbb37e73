"""Near-duplicates among many short texts: MinHash over character trigrams, banded, then compared exactly.

A. Broder, "On the resemblance and containment of documents", 1997.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.training.grouping import Union

UInt64 = NDArray[np.uint64]
Int64 = NDArray[np.int64]
ALIKE: Final = 0.7
"""Share of common trigrams from which on two texts count as one: a changed character in twenty."""
_GRAM: Final = 3
_BANDS: Final = 16
_ROWS: Final = 4
_CHUNK: Final = 20_000  # texts at a time, so that a million of them need no more memory than these
_ODD: Final = 0x9E3779B97F4A7C15
_LINKS: Final = re.compile(r"https?://\S+|@\w+")
_GAPS: Final = re.compile(r"[\W_]+")


def plain(text: str) -> str:
    """A text without what copies differ in: case, width, links, names, punctuation."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _GAPS.sub(" ", _LINKS.sub(" ", folded)).strip() or " ".join(folded.split())


def pairs(texts: Sequence[str], least: float = ALIKE) -> Int64:
    """int64 [n, 2]: pairs of texts whose trigrams have a Jaccard similarity of ``least`` or more.

    Not every such pair is there, but enough that connecting them connects (nearly) all that are alike: of two
    texts with similarity 0.7 all but one in a hundred are found, of 0.8 all but one in five thousand.
    """
    plains = [plain(text) for text in texts]
    hashes: list[UInt64] = []
    signatures: list[UInt64] = []
    for start in range(0, len(plains), _CHUNK):
        grams, bounds = _grams(plains[start : start + _CHUNK])
        signatures.append(_signatures(grams, bounds))
        hashes.extend(np.split(grams, bounds[1:]))
    if not hashes:
        return np.zeros((0, 2), np.int64)
    return _alike(hashes, _candidates(np.concatenate(signatures)), least)


def groups(texts: Sequence[str], least: float = ALIKE) -> Int64:
    """int64 [n]: for each text the first of those that are alike, directly or over others."""
    sets = Union(len(texts))
    for a, b in pairs(texts, least):
        sets.join(int(a), int(b))
    return np.array([sets.find(k) for k in range(len(texts))], np.int64)


def _grams(texts: Sequence[str]) -> tuple[UInt64, Int64]:
    """All trigrams of texts as hashes, and where each text's begin; every text has at least one."""
    marked = [f"\x02{text}\x03" if text else "\x02\x02\x03" for text in texts]
    lengths = np.array([len(text) for text in marked], np.int64)
    joined = "".join(marked).encode("utf-32-le", "surrogatepass")
    codes = np.frombuffer(joined, np.uint32).astype(np.uint64)
    ends = np.cumsum(lengths)
    inside = np.ones(len(codes), np.bool_)
    for k in range(1, _GRAM):
        inside[ends - k] = False
    size = len(codes) - _GRAM + 1
    packed = np.zeros(size, np.uint64)
    for k in range(_GRAM):  # a code point has 21 bits, so three fill 63
        packed = (packed << np.uint64(21)) | codes[k : k + size]
    starts = np.concatenate([[0], np.cumsum(lengths - _GRAM + 1)[:-1]])
    return _mix(packed[inside[:size]]), starts


def _mix(values: UInt64) -> UInt64:
    """A hash of 64 bits (the finaliser of SplitMix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _signatures(grams: UInt64, starts: Int64) -> UInt64:
    """uint64 [texts, bands]: of each band the hash of its four least values."""
    out = np.zeros((len(starts), _BANDS), np.uint64)
    for band in range(_BANDS):
        for row in range(_ROWS):
            salt = np.uint64((band * _ROWS + row + 1) * _ODD & 0xFFFF_FFFF_FFFF_FFFF)
            least = np.minimum.reduceat(_mix(grams ^ salt), starts)
            out[:, band] = _mix(out[:, band] ^ least)
    return out


def _candidates(signatures: UInt64) -> Int64:
    """Pairs of texts that agree in a band: each with the first of its bucket and with its neighbour there."""
    found = []
    for band in signatures.T:
        order = np.argsort(band, kind="stable")
        same = band[order][1:] == band[order][:-1]
        heads = np.where(np.concatenate([[True], ~same]), np.arange(len(order)), 0)
        head = order[np.maximum.accumulate(heads)]
        found.append(np.stack([order[:-1][same], order[1:][same]], axis=1))
        found.append(np.stack([head[1:][same], order[1:][same]], axis=1))
    both = np.sort(np.concatenate(found), axis=1)
    return np.unique(both, axis=0) if len(both) else both


def _alike(hashes: Sequence[UInt64], candidates: Int64, least: float) -> Int64:
    keep = np.zeros(len(candidates), np.bool_)
    known: dict[int, frozenset[int]] = {}
    for k, (a, b) in enumerate(candidates.tolist()):
        for x in (a, b):
            if x not in known:
                known[x] = frozenset(hashes[x].tolist())
        first, second = known[a], known[b]
        common = len(first & second)
        keep[k] = common >= least * (len(first) + len(second) - common)
    return candidates[keep]
