"""The score record as pydantic models: the published schema, and a way to read scores (contract §3)."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA: Final = "tidegate.score/1"

Probability = Annotated[float, Field(ge=0, le=1)]
Milliseconds = Annotated[float, Field(ge=0)]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Modality = Literal["text", "image", "audio"]


class Part(BaseModel):
    """A part of a score; unknown fields are ignored, so that a reader outlives additions."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", use_attribute_docstrings=True, populate_by_name=True
    )


class Origin(Part):
    """The record that was scored."""

    topic: str
    partition: Annotated[int, Field(ge=0)]
    offset: Annotated[int, Field(ge=0)]
    timestamp: int | None
    """Milliseconds since the epoch; null where the record has none."""


class Times(Part):
    """RFC 3339, UTC."""

    event: Time | None
    scored: Time
    """Of several scores for one id, the one scored last counts."""


class Input(Part):
    """One item of the event; an absent modality has one entry with nulls."""

    modality: Modality
    index: int | None
    status: Literal["scored", "truncated", "failed", "absent"]
    reason: str | None
    """Why it failed, in the words of the dead letters' reasons."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None
    """Of the raw bytes; of text, its UTF-8 as received."""
    size: Annotated[int, Field(ge=0)] | None
    """Bytes."""


class Sentiments(Part):
    """Probabilities that sum to 1."""

    negative: Probability
    neutral: Probability
    positive: Probability


class PerModality(Part):
    """What each modality says alone; null where it is absent."""

    text: Sentiments | None
    image: Sentiments | None
    audio: Sentiments | None


class Sentiment(Part):
    """All null where the status is not_evaluated."""

    status: Literal["scored", "not_evaluated"]
    label: Literal["negative", "neutral", "positive"] | None
    polarity: Annotated[float, Field(ge=-1, le=1)] | None
    """Positive minus negative."""
    probabilities: Sentiments | None
    per_modality: PerModality | None


class ItemRef(Part):
    """An entry of `inputs`."""

    modality: Modality
    index: int


class Moderation(Part):
    """One label's answer; a label whose evidence is missing is not_evaluated, never 0."""

    probability: Probability | None
    severity: Annotated[int, Field(ge=0, le=7)] | None
    """Null where the bundle does not grade it."""
    status: Literal["scored", "not_evaluated"]
    inputs: list[ItemRef]
    """The items that this answer rests on."""


class Contributions(Part):
    """Shares of the modalities in the answer that decided: they sum to 1; absent ones are null."""

    text: Probability | None
    image: Probability | None
    audio: Probability | None


class SpanModel(Part):
    """A part of the text: code points `start` to `end` (excluded) of the text as received."""

    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=1)]
    share: Probability
    """Of all that the text's words carried; the few largest are told, so they sum to at most 1."""


class ReasonModel(Part):
    """Why an action was taken; nulls where it was for want of evidence."""

    label: str
    probability: Probability | None
    threshold: Probability | None
    action: Literal["review", "block"]
    contributions: Contributions | None = None
    """Shares of the modalities in this label; null where they are off, or the reason is want of evidence."""
    spans: list[SpanModel] | None = None
    """The words that carried the label that decided, largest first; null at other labels, without a text, and
    where they are off."""


class DecisionModel(Part):
    """What the policy says; the mode tells whether to act on it."""

    action: Literal["allow", "review", "block"]
    policy: str
    """name@digest."""
    mode: Literal["enforce", "shadow"]
    reasons: list[ReasonModel]
    """Strictest first, then by margin."""


class Model(Part):
    """Exactly what scored the event."""

    bundle: str
    version: str
    digest: str
    engine: str
    precision: str
    synthetic: list[Modality]
    """Modalities that were trained on generated data only."""
    calibrated: bool
    """Whether all probabilities were fitted for this precision; where not, some or all mean little."""


class TimingsModel(Part):
    """Milliseconds; what the event waited for, its cycle's work included."""

    queue: Milliseconds
    prepare: Milliseconds
    infer: Milliseconds
    total: Milliseconds


class ScoreModel(Part):
    """One score for one event. The map of labels is open: accept those that you do not know."""

    schema_: Annotated[Literal["tidegate.score/1"], Field(alias="schema")]
    id: str
    origin: Origin
    time: Times
    inputs: list[Input]
    sentiment: Sentiment
    moderation: dict[str, Moderation]
    decision: DecisionModel
    contributions: Contributions
    model: Model
    timings_ms: TimingsModel
    attempt: Annotated[int, Field(ge=1)]
    """Which try this was since the last commit, as far as known."""
    source: str | None
    lang: str | None
    author: str | None
    thread: str | None
    tenant: str | None
    reach: float | None
    topics: list[str] | None
