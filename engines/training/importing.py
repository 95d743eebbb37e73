"""Existing classifiers of single modalities → one bundle, by late fusion and a declared map."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from engines import calibration
from engines.batch import MODALITIES, SENTIMENTS
from engines.bundle import GRAPHS, Bundle, write_bundle
from engines.calibration import Calibration
from engines.errors import EngineError
from engines.export import export
from engines.labels import Label, Labels
from engines.model.bodies import sounds
from engines.model.checkpoint import Checkpoint, bad_checkpoint, open_checkpoint
from engines.model.config import ModelConfig
from engines.model.fusion import FusionHead
from engines.model.mapped import CLASSES, Classifier, MappedTower, Mapping, SpeechClassifier, text_example
from engines.model.preparation import audio_spec, image_spec, text_spec
from engines.model.pretrained import entry_of
from engines.model.silent import SilentTower
from engines.preprocess.spec import AudioSpec, ImageSpec, Preprocess, TextSpec
from engines.training.imported import card, record
from engines.training.mapfile import STARS, MapFile, Source, bad_map, read_map

_NOTHING: Final = Preprocess(TextSpec(8, 8), ImageSpec(16, 16, 1), AudioSpec(1.0))
"""How a modality without a checkpoint is prepared: as little as can be."""
Log = Callable[[str], None]


def import_bundle(map_file: Path, out: Path, log: Log) -> Bundle:
    """Make the bundle that ``map_file`` describes in the new folder ``out``; raises EngineError.

    It is marked as not calibrated until it is calibrated on labelled events.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise EngineError(
            "The bundle cannot be written", where=str(out), why="there is something already",
            remedy="Name a new folder",
        )  # fmt: skip
    plan = read_map(map_file)
    if not plan.name:
        plan = replace(plan, name=out.resolve().name)
    opened = [open_checkpoint(source.folder, source.modality) for source in plan.sources]
    preprocess, channels = prepared(plan, opened)
    log("checkpoints are there, and can be read together")
    torch.manual_seed(0)  # the embedding is a fixed random projection: nothing was trained together
    towers = _towers(plan, opened, preprocess, channels, log)
    labels, head = _fused(plan, towers)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "bundle"
        folder.mkdir()
        for name, net in zip(GRAPHS, [*towers, head], strict=True):
            export(name, net, folder / f"{name}.onnx")
        log("graphs are exported")
        labels.dump(folder / "labels.yaml")
        (folder / "preprocess.json").write_text(preprocess.to_json(), encoding="utf-8")
        for name, content in zip(preprocess.text.files, preprocess.text.contents, strict=True):
            (folder / name).write_bytes(content)
        calibration.dump(folder / "calibration.json", {"fp32": Calibration.identity(len(labels))})
        record(folder / "golden.safetensors", towers, head, preprocess)
        (folder / "MODEL_CARD.md").write_text(card(plan, opened), encoding="utf-8")
        _seal(folder, plan, opened, head)
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(folder, out, dirs_exist_ok=True)
    log("sealed; its probabilities are not calibrated")
    return Bundle.load(out)


def prepared(plan: MapFile, opened: Sequence[Checkpoint]) -> tuple[Preprocess, list[str]]:
    """How inputs are prepared so that every checkpoint can read them, and the text channel of each or ""."""
    pairs = list(zip(plan.sources, opened, strict=True))
    texts = [text_spec(one, plan.max_tokens) if source.modality == "text" else None for source, one in pairs]
    images = [image_spec(one) for source, one in pairs if source.modality == "image"]
    sounds = [audio_spec(one, plan.seconds) for source, one in pairs if source.modality == "audio"]
    if len(set(images)) > 1:
        told = " and ".join(f"{one.width} × {one.height}, {one.fit}, {one.resample}" for one in images)
        raise bad_map(plan.path, f"its image models need different images: {told}", "Import one of them")
    if len({one.rate for one in sounds}) > 1:
        told = " and ".join(f"{one.rate} Hz" for one in sounds)
        raise bad_map(plan.path, f"its audio models need different rates: {told}", "Import one of them")
    audio = AudioSpec(max(one.seconds for one in sounds), sounds[0].rate) if sounds else _NOTHING.audio
    text, channels = _joined(texts)
    return Preprocess(text, images[0] if images else _NOTHING.image, audio), channels


def resolved(source: Source, checkpoint: Checkpoint, labels: Sequence[str], path: Path) -> Mapping:
    """The map of one checkpoint by the numbers of its classes; raises EngineError for what doesn't fit."""
    names = _classes(checkpoint)
    where = f"{source.folder.name} has the classes {', '.join(names)}"
    if source.map is None and len(names) != len(STARS):
        raise bad_map(path, f"{where}: `map: stars` is for models of {len(STARS)}")
    if len(names) == 1 and source.activation == "softmax":
        raise bad_map(path, f"{where}: of a single one softmax is always 1", "Write activation: sigmoid")
    told: dict[str, tuple[str, ...]] = {}
    if source.map is None:
        told = {name: (star,) for name, star in zip(names, STARS, strict=True)}
    for key, targets in (source.map or {}).items():
        known = names[int(key)] if key not in names and key.isdigit() and int(key) < len(names) else key
        if known not in names:
            raise bad_map(path, f"{where}, but none is {key}")
        told[known] = targets
    if lost := [name for name in names if name not in told]:
        raise bad_map(path, f"{where}, but the map leaves out {', '.join(lost)}", "Map them, or write ignore")
    groups = {
        target: tuple(k for k, name in enumerate(names) if target in told[name])
        for target in (*SENTIMENTS, *labels)
    }
    negative, neutral, positive = (groups[name] for name in SENTIMENTS)
    if bool(negative) != bool(positive) or (neutral and not negative):
        raise bad_map(path, f"{where}: sentiment needs both a negative and a positive one")
    whole = [name for name in labels if len(groups[name]) == len(names)]
    if whole and source.activation == "softmax":
        raise bad_map(path, f"{where}: with all of them mapped to {whole[0]} it would always hold")
    ours = {k: groups[name] for k, name in enumerate(labels) if groups[name]}
    return Mapping("softmax" if source.activation == "softmax" else "sigmoid", len(names),
                   (negative, neutral, positive), ours)  # fmt: skip


def _classes(checkpoint: Checkpoint) -> list[str]:
    names = checkpoint.config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
    try:
        return [str(names[key]) for key in sorted(names, key=int)]
    except (TypeError, ValueError) as error:
        where = checkpoint.folder / "config.json"
        raise bad_checkpoint(where, "id2label is not by number", "Download it again") from error


def _towers(
    plan: MapFile, opened: Sequence[Checkpoint], preprocess: Preprocess, channels: Sequence[str], log: Log
) -> list[Any]:
    """Text, image and audio towers, whose tokens hold the mapped logits."""
    labels, width = list(plan.labels), CLASSES + len(plan.labels)
    towers: list[Any] = []
    specs: list[TextSpec | ImageSpec | AudioSpec] = [preprocess.text, preprocess.image, preprocess.audio]
    for modality, spec in zip(MODALITIES, specs, strict=True):
        parts = []
        for source, checkpoint, channel in zip(plan.sources, opened, channels, strict=True):
            if source.modality == modality:
                mapping = resolved(source, checkpoint, labels, plan.path)
                parts.append((_classifier(checkpoint, channel, mapping, plan.path), mapping))
                log(f"{source.folder.name}: {checkpoint.config['model_type']}, {modality}")
        silent = SilentTower(modality, width, spec)
        if not parts:
            towers.append(silent.eval())
            continue
        example = silent.example() if modality == "image" else sounds()
        if modality == "text":
            example = text_example(preprocess.text.channels)
        towers.append(MappedTower(parts, len(labels), width, example).eval())
    return towers


def _classifier(
    checkpoint: Checkpoint, channel: str, mapping: Mapping, path: Path
) -> Classifier | SpeechClassifier:
    model: Any = checkpoint.classifier()
    if model.config.num_labels != mapping.classes:
        raise bad_map(
            path,
            f"{checkpoint.folder.name} answers with {model.config.num_labels} numbers, "
            f"but its config.json names {mapping.classes} classes",
            "Mend id2label in its config.json",
        )
    if model.config.problem_type == "regression":
        raise bad_map(path, f"{checkpoint.folder.name} gives an amount, not classes", "Leave it out")
    if checkpoint.architecture.front == "speech":
        return SpeechClassifier(model, bool(checkpoint.prepared.get("do_normalize", True)))
    return Classifier(model, entry_of(checkpoint, model, channel))


def _fused(plan: MapFile, towers: Sequence[Any]) -> tuple[Labels, FusionHead]:
    """The head of late fusion: its experts pass the tokens through, and the cross term stays zero."""
    names, width = tuple(plan.labels), CLASSES + len(plan.labels)
    nothing = torch.zeros(1 + len(names))
    taught = torch.stack([one.taught if isinstance(one, MappedTower) else nothing for one in towers])
    config = ModelConfig(names, width=width, text_tokens=1, image_tokens=1, audio_tokens=1, fusion="concat")
    experts = [nn.Linear(width, width) for _ in towers]
    for expert, knows in zip(experts, taught, strict=True):
        nn.init.eye_(expert.weight)
        expert.weight.data *= float(knows.any())
        nn.init.zeros_(expert.bias)
    head = FusionHead(config)
    head.adopt(experts, taught)
    able = [tuple(frozenset({m}) for m, row in zip(MODALITIES, taught, strict=True) if row[k])
            for k in range(1 + len(names))]  # fmt: skip
    found = zip(plan.labels.items(), able[1:], strict=True)
    labels = tuple(Label(name, evidence, description=told) for (name, told), evidence in found)
    return Labels(labels, able[0]), head.eval()


def _joined(texts: Sequence[TextSpec | None]) -> tuple[TextSpec, list[str]]:
    """One specification with each tokenizer once, and the channel of each text model or ""."""
    contents = list(dict.fromkeys(one.contents[0] for one in texts if one))
    names = ["ids", *(f"ids_{k}" for k in range(2, len(contents) + 1))]
    channels = [names[contents.index(one.contents[0])] if one else "" for one in texts]
    some = [one for one in texts if one]
    if not some:
        return _NOTHING.text, channels
    files = tuple(f"tokenizer{'' if k == 0 else f'-{k + 1}'}.json" for k in range(len(contents)))
    smallest, shortest = min(one.vocabulary for one in some), min(one.max_tokens for one in some)
    return TextSpec(smallest, shortest, "tokenizer", files, tuple(contents)), channels


def _seal(folder: Path, plan: MapFile, opened: Sequence[Checkpoint], head: FusionHead) -> None:
    sources = [
        {
            "folder": source.folder.name,
            "modality": source.modality,
            "architecture": checkpoint.config["model_type"],
            "activation": source.activation,
            "map": "stars" if source.map is None else {k: list(v) for k, v in source.map.items()},
            "weights": checkpoint.digests(),
        }
        for source, checkpoint in zip(plan.sources, opened, strict=True)
    ]
    write_bundle(
        folder,
        name=plan.name,
        version=plan.version,
        synthetic=(),
        width=head.width,
        tokens=dict.fromkeys(MODALITIES, 1),
        graphs={name: {"fp32": f"{name}.onnx"} for name in GRAPHS},
        licence=plan.licence,
        provenance={"made": "imported, late fusion", "checkpoints": sources},
    )
