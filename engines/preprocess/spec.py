"""What a model expects of its inputs: recorded in the bundle, obeyed by training and serving alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from engines.errors import BundleError

SCHEMA: Final = "tidegate.preprocess/1"
_KINDS: Final[dict[str, Any]] = {"int": int, "float": (int, float), "str": str, "tuple[str, ...]": list}
_Spec = TypeVar("_Spec")

_CHANNELS: Final = {
    "hash-words": ("ids",),
    "tokenizer": ("ids",),
    "bag": ("words", "chars"),
    "bilingual": ("ids", "ids_zh"),
}
"""What each kind of text encoder gives for a text: the inputs of the text graph, in this order."""
HASHES: Final = 2**18
"""How many ids the hashed words of a bag have: its graph folds them into its own buckets."""
CODE_POINTS: Final = 0x110000
"""One more than the largest code point."""
_FITS: Final = ("stretch", "crop")
_RESAMPLES: Final = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")


@dataclass(frozen=True, slots=True)
class TextSpec:
    """`kind` names the tokeniser; ids are below `vocabulary`; a text keeps its first `max_tokens`.

    Id 0 is padding, in every channel: no encoder gives it. `files` are the bundle's files that the encoder
    needs: for kind "tokenizer" one tokenizer.json for each channel, whose smallest vocabulary counts, and an
    id is the tokenizer's plus one; for kind "bilingual" two, the second for Chinese, which keep id 0 for
    padding themselves. `contents` are their bytes: they live in the files, not in the
    JSON.
    """

    vocabulary: int
    max_tokens: int
    kind: Literal["hash-words", "tokenizer", "bag", "bilingual"] = "hash-words"
    files: tuple[str, ...] = ()
    contents: tuple[bytes, ...] = field(default=(), repr=False, compare=False)

    def __post_init__(self) -> None:
        _require(self.kind in _CHANNELS, f"text.kind {self.kind!r} is unknown")
        _require(self.vocabulary > 2, "text.vocabulary must be over 2: ids 0 and 1 are reserved")
        _require(self.max_tokens > 0, "text.max_tokens must be positive")
        _require(all(isinstance(name, str) for name in self.files), "text.files must be names")
        wanted = {"tokenizer": max(1, len(self.files)), "bilingual": 2}.get(self.kind, 0)
        _require(len(self.files) >= wanted, "text.files must name a tokenizer.json for each encoder")

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of the arrays that a text becomes; micro-batches are planned by the first `planned`."""
        more = range(2, len(self.files) + 1) if self.kind == "tokenizer" else ()
        return (*_CHANNELS[self.kind], *(f"ids_{k}" for k in more))

    @property
    def planned(self) -> int:
        """How many channels, from the first on, feed encoders that cost by the token."""
        return 2 if self.kind == "bilingual" else 1

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many ids there are in each channel; of several tokenizers, as many as the smallest has."""
        special = {"words": HASHES, "chars": CODE_POINTS}
        return tuple(special.get(channel, self.vocabulary) for channel in self.channels)


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """Pixels become RGB [height, width, 3]; an animation gives its first `frames`.

    "stretch" resizes both sides; "crop" makes the shorter side `edge` (0: the longer of height and width)
    and keeps the middle. `resample` is Pillow's filter.
    """

    height: int
    width: int
    frames: int = 4
    fit: Literal["stretch", "crop"] = "stretch"
    edge: int = 0
    resample: str = "bilinear"

    def __post_init__(self) -> None:
        _require(self.fit in _FITS, f"image.fit {self.fit!r} is unknown")
        _require(self.resample in _RESAMPLES, f"image.resample {self.resample!r} is unknown")
        _require(min(self.height, self.width, self.frames) > 0, "image sizes must be positive")
        _require(
            self.edge == 0 or self.edge >= max(self.height, self.width), "image.edge must hold what is kept"
        )


@dataclass(frozen=True, slots=True)
class AudioSpec:
    """Sound becomes mono at `rate` hertz; only the first `seconds` are heard."""

    seconds: float
    rate: int = 16_000

    def __post_init__(self) -> None:
        _require(0 < self.seconds <= 3600, "audio.seconds must lie between 0 and 3600")
        _require(8_000 <= self.rate <= 96_000, "audio.rate must lie between 8000 and 96000")

    @property
    def samples(self) -> int:
        """The model's window, in samples."""
        return round(self.seconds * self.rate)


@dataclass(frozen=True, slots=True)
class Preprocess:
    """All three together: the bundle's `preprocess.json`."""

    text: TextSpec
    image: ImageSpec
    audio: AudioSpec

    @classmethod
    def load(cls, path: Path) -> Preprocess:
        """Read `path`; raises `BundleError` for what is missing, unknown or of the wrong type."""
        try:
            return cls.from_json(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise BundleError(
                "cannot read the preprocessing", where=str(path), why=str(error), remedy=_REMEDY
            ) from error
        except BundleError as error:
            raise BundleError(error.what, where=str(path), why=error.why, remedy=_REMEDY) from error

    @classmethod
    def from_json(cls, text: str) -> Preprocess:
        """The inverse of `to_json`; raises `BundleError`."""
        try:
            tree = json.loads(text)
        except ValueError as error:
            raise _bad(f"not JSON: {error}") from error
        _require(isinstance(tree, dict), "not an object")
        _require(tree.pop("schema", None) == SCHEMA, f"its schema is not {SCHEMA}")
        _names("preprocessing", tree, {"text", "image", "audio"}, set())
        return cls(
            _read(TextSpec, "text", tree["text"]),
            _read(ImageSpec, "image", tree["image"]),
            _read(AudioSpec, "audio", tree["audio"]),
        )

    def to_json(self) -> str:
        """The text of `preprocess.json`: stable, so that a digest of it is too."""
        tree = asdict(replace(self, text=replace(self.text, contents=())))
        del tree["text"]["contents"]
        return json.dumps({"schema": SCHEMA, **tree}, indent=2, sort_keys=True) + "\n"

    def filled(self, read: Callable[[str], bytes]) -> Preprocess:
        """The same with the bytes of the text encoder's files, each as `read` gives it."""
        return replace(self, text=replace(self.text, contents=tuple(map(read, self.text.files))))


_REMEDY: Final = "Use a bundle that this version of Tidegate wrote or supports"


def _bad(why: str) -> BundleError:
    return BundleError("the preprocessing cannot be used", why=why, remedy=_REMEDY)


def _require(holds: bool, why: str) -> None:
    if not holds:
        raise _bad(why)


def _names(where: str, tree: dict[str, Any], needed: set[str], optional: set[str]) -> None:
    unknown, missing = sorted(tree.keys() - needed - optional), sorted(needed - tree.keys())
    _require(not unknown, f"{where}: unknown {', '.join(unknown)}")
    _require(not missing, f"{where}: missing {', '.join(missing)}")


def _read(spec: type[_Spec], where: str, tree: Any) -> _Spec:
    _require(isinstance(tree, dict), f"{where} is not an object")
    known = {own.name: str(own.type) for own in fields(spec) if own.repr}  # type: ignore[arg-type]
    _names(where, tree, _needed(spec), set(known))
    for name, value in tree.items():
        kind = _KINDS.get(known[name], str)
        _require(
            isinstance(value, kind) and not isinstance(value, bool), f"{where}.{name} has the wrong type"
        )
    return spec(**{name: tuple(x) if isinstance(x, list) else x for name, x in tree.items()})


def _needed(spec: type[Any]) -> set[str]:
    return {own.name for own in fields(spec) if own.default is MISSING}
