"""From events to finished networks, stage by stage; each result is kept, and found again by the next run."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: no-warn-return-any

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engines.batch import MODALITIES
from engines.errors import of_data
from engines.model.config import ModelConfig
from engines.model.fusion import FusionHead
from engines.preprocess.spec import Preprocess
from engines.training import arrays, enough, learnable, targets, work
from engines.training.arrays import Column
from engines.training.dataset import Dataset
from engines.training.epochs import keep, learnt_of, planned, put, recall
from engines.training.head import Averaged, Meeting, Slots, made_head, meetings, taught, train_head
from engines.training.inputs import Inputs, decode
from engines.training.kinds import Kind, kind_of, silent
from engines.training.recipe import Recipe
from engines.training.renewing import renewing
from engines.training.towers import Aided, Study, tokens_of, train_tower
from engines.training.watch import Watch
from engines.training.work import Arrays, Work

Columns = tuple[Column, Column, Column]


@dataclass(frozen=True, slots=True)
class Ground:
    """What all stages stand on: events whose labels they can teach, the recipe, the towers it names, and what
    follows of them; ``digest`` is the data's.
    """

    data: Dataset
    recipe: Recipe
    kinds: tuple[Kind, Kind, Kind]
    config: ModelConfig
    preprocess: Preprocess
    digest: str

    @property
    def learnt(self) -> tuple[str, ...]:
        """The modalities that have a tower."""
        return tuple(kind.modality for kind in self.kinds if kind.learns)


def ground(data: Dataset, recipe: Recipe, where: str = "", least: int = enough.LEAST) -> Ground:
    """Check the data and choose the towers; a modality that no training row has gets none. Raises DataError
    where the data cannot teach, EngineError where the recipe names no tower.
    """
    recipe = recipe.settled()
    kinds = tuple(kind_of(m, recipe) for m in MODALITIES)
    with of_data():
        enough.check(data, where, least)
        rows = data.events.of("train").rows
        there = {m for k, m in enumerate(MODALITIES) if (rows[:, k] >= 0).any()}
        kinds = tuple(kind if kind.modality in there else silent(kind.modality, recipe) for kind in kinds)
        data = learnable.narrowed(data, frozenset(kind.modality for kind in kinds if kind.learns))
        digest = work.digest(data)
    text, image, audio = kinds
    config = ModelConfig(
        data.labels.names,
        width=recipe.width,
        text_tokens=text.tokens,
        image_tokens=image.tokens,
        audio_tokens=audio.tokens,
        fusion=recipe.head.fusion,
        image_height=image.spec.height,
        image_width=image.spec.width,
        rate=audio.spec.rate,
        severity=bool(data.labels.graded.any()),
    )
    preprocess = Preprocess(text.spec, image.spec, audio.spec)
    return Ground(data, recipe, (text, image, audio), config, preprocess, digest)


def decoded(data: Dataset, preprocess: Preprocess, digest: str, kept: Work, watch: Watch) -> Inputs:
    """All parts as model inputs; raises DataError that names media which cannot be decoded."""
    files = [work.key(name, content.hex()) for name, content in zip(
        preprocess.text.files, preprocess.text.contents, strict=True)]  # fmt: skip
    path = kept.place("inputs", digest, preprocess.to_json(), files)
    channels = preprocess.text.channels
    if (known := work.load(path)) is not None:
        watch("inputs: kept from an earlier run")
        texts = list(zip(*(work.rows_of(known, name) for name in channels), strict=True))
        return texts, list(known["pixels"]), work.rows_of(known, "samples")
    with of_data(), watch.bar("decoding", None):
        inputs = decode(data, preprocess)
    made: Arrays = {}
    for c, name in enumerate(channels):
        made |= work.ragged(name, [row[c] for row in inputs[0]], np.empty(0, np.int32))
    size = (preprocess.image.height, preprocess.image.width, 3)
    made["pixels"] = np.stack(inputs[1]) if inputs[1] else np.empty((0, *size), np.uint8)
    made |= work.ragged("samples", inputs[2], np.empty(0, np.int16))
    work.save(path, made)
    watch(f"inputs: {len(inputs[0])} texts, {len(inputs[1])} images, {len(inputs[2])} sounds prepared")
    return inputs


def towers(
    here: Ground, columns: Columns, lessons: Arrays | None, told: object, kept: Work, watch: Watch
) -> list[tuple[Aided, str]]:
    """The three finished towers, each with the key of all that decided it; ``told`` is what decided the
    teacher's ``lessons``.
    """
    marks, _ = learnable.judges(here.data, here.recipe.validation, here.recipe.seed)
    out = []
    for m, kind in enumerate(here.kinds):
        study = _study(here, m, columns[m], marks[m], lessons)
        out.append(tower(here, kind, study, told, kept, watch))
    return out


def tower(
    here: Ground, kind: Kind, study: Study, told: object, kept: Work, watch: Watch
) -> tuple[Aided, str]:
    """One finished tower, trained or kept, and its key."""
    recipe, own = here.recipe, here.recipe.tower(kind.modality)
    torch.manual_seed(recipe.seed * 10 + MODALITIES.index(kind.modality))
    net = Aided(kind.make(here.config), here.config, kind.tokens)
    plan = planned(own.epochs, own.rows, own.rate, own.decay, len(study.learnt), kind.most)
    common = [recipe.seed, recipe.validation, recipe.patience, recipe.class_weights, recipe.augment]
    path = kept.place(
        f"{kind.modality}-tower", here.digest, kind.told, own.tuning, repr(replace(here.config, fusion="")),
        repr(plan), repr(kind.spec), common, told,
    )  # fmt: skip
    if not kind.learns:
        return net.eval(), path.stem
    if (found := recall(path)) is not None:
        put(net, found[0])
        watch(f"{kind.modality} tower: kept from an earlier run")
    else:
        going = path.with_suffix(".going")
        net = train_tower(
            kind.modality, study, here.config, plan, recipe.seed, watch, net, going, recipe.patience
        )  # fmt: skip
        keep(path, learnt_of(net))
        going.unlink(missing_ok=True)
    if hasattr(net.tower, "merge"):  # LoRA: what it learnt becomes the weights' own
        net.tower.merge()
    return net.eval(), path.stem


def tokens(here: Ground, m: int, net: Aided, key: str, column: Column, kept: Work, watch: Watch) -> Tensor:
    """Every part's tokens, float32 [n, K, D]: made once."""
    kind = here.kinds[m]
    if not kind.learns:
        return torch.zeros(max(1, len(column.inputs)), kind.tokens, here.config.width)
    path = kept.place("tokens", key)
    if (found := recall(path)) is not None:
        return found[0]["tokens"]
    made = tokens_of(net, kind.modality, column, kind.most, watch)
    keep(path, {"tokens": made})
    return made


def head(
    here: Ground,
    nets: list[tuple[Aided, str]],
    slots: Slots,
    columns: Columns,
    lessons: Arrays | None,
    told: object,
    kept: Work,
    watch: Watch,
) -> tuple[FusionHead | Averaged, str]:
    """The finished head, or the mean of as many as the recipe asks for, and its key."""
    recipe, events = here.recipe, here.data.events
    train = events.split == 0
    _, judge = learnable.judges(here.data, recipe.validation, recipe.seed)
    aims = targets.hard(
        events.sentiment.astype(np.int64),
        events.labels.astype(np.int64),
        train & ~judge,
        recipe.class_weights,
    )
    if lessons is not None:
        aims = targets.taught_by(aims, lessons["sentiment.3"], lessons["labels.3"], recipe.distil)
    chosen = np.flatnonzero(train)
    meeting = Meeting(slots, events.where(train), aims.at(torch.from_numpy(chosen)), judge[train])
    met = int(meetings(meeting.events).sum())
    own = recipe.head
    plan = planned(own.epochs, own.rows, own.rate, own.decay, met, 256)
    experts, known = [net.expert for net, _ in nets], taught(columns)
    common = [recipe.validation, recipe.patience, recipe.class_weights, recipe.distil, own.dropped, told]
    made, paths = [], []
    for k in range(recipe.seeds):
        seed = recipe.seed + 1000 * k
        path = kept.place("head", [key for _, key in nets], repr(here.config), repr(plan), seed, common)
        paths.append(path.stem)
        if (found := recall(path)) is not None:
            net = made_head(experts, known, here.config, seed)
            net.load_state_dict(found[0])
            watch("fusion head: kept from an earlier run")
        else:
            going = path.with_suffix(".going")
            net = train_head(
                meeting, experts, known, here.config, plan, seed, watch, going, recipe.patience, own.dropped
            )
            keep(path, {name: t.detach().clone() for name, t in net.state_dict().items()})
            going.unlink(missing_ok=True)
        made.append(net.eval())
    return (made[0] if len(made) == 1 else Averaged(made).eval()), work.key("heads", *paths)


def columns_of(here: Ground, inputs: Inputs, kept: Work) -> Columns:
    """Inputs with what is known of each part; the sounds' features are kept."""
    if here.kinds[2].told != "small":  # only the small tower reads them
        return arrays.columns(here.data, inputs, here.config.rate, [])
    path = kept.place("mels", here.digest, here.config.rate, here.preprocess.to_json())
    known = work.load(path)
    mels = None if known is None else work.rows_of(known, "mels")
    made = arrays.columns(here.data, inputs, here.config.rate, mels)
    if known is None and made[2].mels:
        work.save(path, work.ragged("mels", made[2].mels, np.empty((0, 1), np.float16)))
    return made


def _study(here: Ground, m: int, column: Column, judge: Any, lessons: Arrays | None) -> Study:
    here_split, weigh = column.split == "train", here.recipe.class_weights
    learnt = here_split & ~judge
    aims = targets.hard(column.sentiment.numpy(), column.labels.numpy(), learnt, weigh)
    if lessons is not None:
        aims = targets.taught_by(aims, lessons[f"sentiment.{m}"], lessons[f"labels.{m}"], here.recipe.distil)
    told = learnable.around(here.data, m)
    weak = None if told is None else targets.hard(*told, learnt, weigh)
    renew = None
    if here.recipe.augment and here.kinds[m].learns:
        renew = renewing(MODALITIES[m], here.data.parts[m], column.inputs, here.preprocess, bool(column.mels))
    return Study(column, np.flatnonzero(learnt), np.flatnonzero(here_split & judge), aims, weak, renew)
