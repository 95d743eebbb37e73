"""What a model is on disk: a folder whose every byte is known before any of it is used."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors

from engines import calibration
from engines.batch import MODALITIES
from engines.calibration import Calibration
from engines.errors import BundleError
from engines.labels import Labels
from engines.preprocess.spec import Preprocess

if TYPE_CHECKING:
    from engines.evaluation import Evaluation

SCHEMA: Final = "tidegate.bundle/1"
MANIFEST: Final = "bundle.json"
GOLDEN: Final = "golden.safetensors"
EVALUATION: Final = "evaluation.safetensors"
GRAPHS: Final = (*MODALITIES, "head")
"""The four graphs of a bundle: a tower for each modality, and the head."""
SUFFIXES: Final = frozenset({".onnx", ".json", ".yaml", ".safetensors", ".md", ".html"})
"""The only kinds of file a bundle may hold: none of them can run code when it is read."""
SHIPPED: Final = Path(__file__).parent / "bundles"
"""Where the bundles lie that come with Tidegate."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_MANIFEST_BYTES: Final = 1 << 20
_FIELDS: Final = {
    "schema": str, "name": str, "version": str, "synthetic": list, "width": int, "tokens": dict,
    "graphs": dict, "files": dict, "licence": str, "provenance": dict, "digest": str,
}  # fmt: skip
_REMEDY: Final = "Install the bundle again from where it came, or write it anew"


@dataclass(frozen=True)
class Bundle:
    """A verified bundle; `manifest` is bundle.json as read.

    Files are read through `read`, which checks their digest again: what is parsed is what was verified.
    """

    folder: Path
    manifest: Mapping[str, Any]
    labels: Labels
    preprocess: Preprocess
    calibration: Mapping[str, Calibration]

    @classmethod
    def load(cls, source: str | Path) -> Bundle:
        """Verify every file of a folder, or of a bundle that ships with Tidegate; raises BundleError."""
        folder = locate(source)
        manifest = _manifest(folder)
        _verify(folder, manifest["files"])
        _verify_graphs(folder, manifest)
        where = str(folder)
        labels = Labels.parse(_read(folder, manifest, "labels.yaml"), where=f"{where}/labels.yaml")
        try:
            preprocess = Preprocess.from_json(_read(folder, manifest, "preprocess.json").decode())
        except UnicodeDecodeError as error:
            raise _bad(f"{where}/preprocess.json", "it is not UTF-8") from error
        if lost := sorted(set(preprocess.text.files) - manifest["files"].keys()):
            raise _bad(f"{where}/preprocess.json", f"it needs {', '.join(lost)}, which the bundle lacks")
        preprocess = preprocess.filled(lambda name: _read(folder, manifest, name))
        fits = calibration.parse(
            _read(folder, manifest, "calibration.json"), len(labels), where=f"{where}/calibration.json"
        )
        return cls(folder, manifest, labels, preprocess, fits)

    @property
    def name(self) -> str:
        """The bundle's name."""
        return str(self.manifest["name"])

    @property
    def version(self) -> str:
        """The bundle's version."""
        return str(self.manifest["version"])

    @property
    def digest(self) -> str:
        """SHA-256 over everything in the bundle, in hexadecimal."""
        return str(self.manifest["digest"])

    @property
    def synthetic(self) -> tuple[str, ...]:
        """The modalities that were trained on generated data only."""
        return tuple(self.manifest["synthetic"])

    @property
    def width(self) -> int:
        """The width D of every token and of the embedding."""
        return int(self.manifest["width"])

    @property
    def tokens(self) -> tuple[int, int, int]:
        """Tokens that the text, image and audio tower give for a row."""
        text, image, audio = (int(self.manifest["tokens"][m]) for m in MODALITIES)
        return text, image, audio

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions that the bundle is calibrated for; where for none, those it may be served at."""
        return tuple(p for p, fit in self.calibration.items() if fit.calibrated) or tuple(self.calibration)

    @property
    def calibrated(self) -> bool:
        """Whether it was calibrated at all; where not, probabilities are only logits in another form."""
        return any(fit.calibrated for fit in self.calibration.values())

    def graph(self, tower: str, precision: str = "fp32") -> Path:
        """The ONNX file of a tower or the head; the fp32 one where there is none of that precision."""
        return self.folder / self.graph_name(tower, precision)

    def graph_name(self, tower: str, precision: str = "fp32") -> str:
        """The name of `graph`'s file, for `read`."""
        files = self.manifest["graphs"][tower]
        return str(files.get(precision, files["fp32"]))

    def graph_bytes(self, precision: str = "fp32") -> int:
        """Bytes of all four graphs on disk."""
        return sum(self.graph(tower, precision).stat().st_size for tower in GRAPHS)

    def read(self, name: str) -> bytes:
        """The bytes of one file, verified at this moment; raises BundleError."""
        return _read(self.folder, self.manifest, name)

    @cached_property
    def golden(self) -> dict[str, NDArray[Any]] | None:
        """Recorded inputs and expected outputs (see engines/golden.py), None where the bundle has none."""
        return self._tensors(GOLDEN)

    @cached_property
    def evaluation(self) -> Evaluation | None:
        """Held-out events with what is known of them (see engines/evaluation.py), None where the bundle has
        none; raises BundleError where they are malformed.
        """
        from engines.evaluation import parse

        tensors = self._tensors(EVALUATION)
        return None if tensors is None else parse(tensors, self.preprocess, len(self.labels))

    def _tensors(self, name: str) -> dict[str, NDArray[Any]] | None:
        if name not in self.manifest["files"]:
            return None
        try:
            return dict(load_safetensors(self.read(name)))
        except SafetensorError as error:
            raise _bad(f"{self.folder}/{name}", f"it is not safetensors: {error}") from error


def write_bundle(
    folder: Path,
    *,
    name: str,
    version: str,
    synthetic: Sequence[str],
    width: int,
    tokens: Mapping[str, int],
    graphs: Mapping[str, Mapping[str, str]],
    licence: str,
    provenance: Mapping[str, Any] | None = None,
    created: str | None = None,
) -> Bundle:
    """Seal a folder that already holds every other file: write its bundle.json, then load it back.

    ``graphs`` is ``{"text": {"fp32": "text.onnx"}, …}``, towers and head. Raises BundleError.
    """
    files = {}
    for path in sorted(folder.iterdir()):
        if path.name != MANIFEST:
            _check_name(folder, path.name)
            files[path.name] = {"sha256": _sha256(path), "bytes": path.stat().st_size}
    tree: dict[str, Any] = {
        "schema": SCHEMA, "name": name, "version": version, "synthetic": list(synthetic), "width": width,
        "tokens": dict(tokens), "graphs": {k: dict(v) for k, v in graphs.items()}, "files": files,
        "licence": licence, "provenance": dict(provenance or {}),
    }  # fmt: skip
    if created is not None:
        tree["created"] = created
    tree["digest"] = _digest(tree)
    draft = folder / f".{MANIFEST}.draft"
    draft.write_bytes(_render(tree))
    draft.replace(folder / MANIFEST)
    for file in files:  # safetensors writes for the owner alone; a daemon may be another user
        shutil.copymode(folder / MANIFEST, folder / file)
    return Bundle.load(folder)


def locate(source: str | Path) -> Path:
    """The folder that a path, or the name of a shipped bundle, stands for; raises BundleError."""
    if isinstance(source, str) and _NAME.fullmatch(source) and (SHIPPED / source / MANIFEST).is_file():
        return SHIPPED / source
    folder = Path(source)
    if (folder / MANIFEST).is_file():
        return folder
    shipped = ", ".join(sorted(p.parent.name for p in SHIPPED.glob(f"*/{MANIFEST}"))) or "none"
    raise BundleError(
        "There is no bundle",
        where=str(source),
        why=f"neither a folder with a {MANIFEST} nor one of those that ship with Tidegate ({shipped})",
        remedy="Give the path of a bundle's folder, or a shipped bundle's name",
    )


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    where = str(path)
    if not _regular(path) or path.stat().st_size > _MANIFEST_BYTES:
        raise _bad(where, f"it is not a plain file of at most {_MANIFEST_BYTES} bytes")
    data = path.read_bytes()
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _bad(where, f"it is not JSON: {error}") from error
    if not isinstance(tree, dict) or tree.get("schema") != SCHEMA:
        raise _bad(where, f"its schema is not {SCHEMA}")
    wrong = [k for k, kind in _FIELDS.items() if not isinstance(tree.get(k), kind)]
    wrong += sorted(tree.keys() - _FIELDS.keys() - {"created"})
    if wrong:
        raise _bad(where, f"missing, unknown or of a wrong type: {', '.join(wrong)}")
    # The exact bytes and not only their meaning: so no byte of the file can change unnoticed.
    if tree["digest"] != _digest(tree) or data != _render(tree):
        raise _bad(where, "its content is not what its digest says")
    return tree


def _verify(folder: Path, files: dict[str, Any]) -> None:
    for name in files:
        _check_name(folder, name)
    extra = sorted({p.name for p in folder.iterdir()} - files.keys() - {MANIFEST})
    if extra:
        raise _bad(str(folder), f"it holds what {MANIFEST} does not name: {', '.join(extra)[:200]}")
    for name, entry in files.items():
        path = folder / name
        if not isinstance(entry, dict) or entry.keys() != {"sha256", "bytes"}:
            raise _bad(str(folder / MANIFEST), f"files.{name} must have sha256 and bytes")
        if not _regular(path):
            raise _bad(str(path), "it is missing, or not a plain file")
        if path.stat().st_size != entry["bytes"]:
            raise _bad(str(path), f"it has {path.stat().st_size} bytes instead of {entry['bytes']}")
        if _sha256(path) != entry["sha256"]:
            raise _bad(str(path), f"its SHA-256 is not the one in {MANIFEST}: it was changed or damaged")


def _verify_graphs(folder: Path, manifest: dict[str, Any]) -> None:
    where, graphs, tokens = str(folder / MANIFEST), manifest["graphs"], manifest["tokens"]
    if graphs.keys() != set(GRAPHS) or not all(isinstance(g, dict) and "fp32" in g for g in graphs.values()):
        raise _bad(where, f"graphs must name {', '.join(GRAPHS)}, each with an fp32 file")
    needed = {"labels.yaml", "preprocess.json", "calibration.json"}
    needed |= {str(name) for g in graphs.values() for name in g.values()}
    missing = sorted(needed - manifest["files"].keys())
    if missing:
        raise _bad(where, f"files lacks {', '.join(missing)}")
    if not all(str(name).endswith(".onnx") for g in graphs.values() for name in g.values()):
        raise _bad(where, "a graph must be an .onnx file")
    counts = [*tokens.values(), manifest["width"]]
    if tokens.keys() != set(MODALITIES) or not all(type(n) is int and 0 < n <= 65_536 for n in counts):
        raise _bad(where, "width, and tokens of text, image and audio, must be positive whole numbers")
    if not set(map(str, manifest["synthetic"])) <= set(MODALITIES):
        raise _bad(where, f"synthetic may only hold {', '.join(MODALITIES)}")


def _check_name(folder: Path, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise _bad(str(folder), f"{name!r:.150} is no plain file name: no folders, no way out of this one")
    if Path(name).suffix not in SUFFIXES:
        raise _bad(str(folder), f"{name} is of a kind that a bundle may not hold")
    if (folder / name).is_symlink() or (folder / name).is_dir():
        raise _bad(str(folder / name), "it is a link or a folder, not a plain file")


def _read(folder: Path, manifest: Mapping[str, Any], name: str) -> bytes:
    data = (folder / name).read_bytes()
    if hashlib.sha256(data).hexdigest() != manifest["files"][name]["sha256"]:
        raise _bad(str(folder / name), f"its SHA-256 is not the one in {MANIFEST}: it has just been changed")
    return data


def _regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(tree: Mapping[str, Any]) -> str:
    rest = {k: v for k, v in tree.items() if k != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _render(tree: Mapping[str, Any]) -> bytes:
    return (json.dumps(tree, indent=2, sort_keys=True, ensure_ascii=True) + "\n").encode()


def _bad(where: str, why: str) -> BundleError:
    return BundleError("The bundle cannot be used", where=where, why=why, remedy=_REMEDY)
