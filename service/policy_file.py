"""Policy files: their form, and what is wrong with one."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError
from pydantic_core import ErrorDetails

from service.document import Document, Key, parse_document, read_document
from service.findings import Finding, Refused, did_you_mean, expected, remedy_for

Action = Literal["allow", "review", "block"]
CALIBRATED: Final = "calibrated"
"""A threshold that the bundle's calibration worked out for the label, at the precision that scores."""
Threshold = (
    Annotated[
        Annotated[float, Field(ge=0, le=1, strict=True), Tag("number")]
        | Annotated[Literal["calibrated"], Tag("word")],
        Discriminator(lambda value: "word" if value == CALIBRATED else "number"),
    ]
    | None
)
BUILT_IN: Final = "the built-in policy"
EXAMPLE: Final = "`tidegate create policy` prints an example"


class Part(BaseModel):
    """A part of a policy file: frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class NotEvaluated(Part):
    """What to do about a label without a probability."""

    absent: Action = "allow"
    """The event has no such input."""
    failed: Action = "review"
    """There was one, but it could not be read."""


class Rule(Part):
    """Thresholds of a label: a probability at or over one takes its action; null: never; `calibrated`: as
    the bundle's calibration found it.
    """

    review: Threshold = None
    block: Threshold = None
    not_evaluated: NotEvaluated = NotEvaluated()


class PolicyFile(Part):
    """A policy as written: `default`, and rules by label or `prefix/*`."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    mode: Literal["enforce", "shadow"]
    default: Rule
    labels: dict[Annotated[str, Field(pattern=r"^[^*\s]+?(/\*)?$")], Rule] = {}

    def chain(self, label: str) -> Iterator[Rule]:
        """The rules that speak for a label (or pattern), the most particular first."""
        if label in self.labels:
            yield self.labels[label]
        parts = label.removesuffix("/*").split("/")
        for end in range(len(parts) - 1, 0, -1):
            pattern = "/".join(parts[:end]) + "/*"
            if pattern in self.labels and pattern != label:
                yield self.labels[pattern]
        yield self.default

    def rule(self, label: str) -> Rule:
        """The rule in force for a label: each value from the first rule in the chain that sets it."""
        rule: dict[str, Any] = {}
        handling: dict[str, Any] = {}
        for part in self.chain(label):
            rule = {name: getattr(part, name) for name in part.model_fields_set} | rule
            said = part.not_evaluated
            handling = {name: getattr(said, name) for name in said.model_fields_set} | handling
        return Rule.model_validate(rule | {"not_evaluated": handling})

    def covers(self, key: str, label: str) -> bool:
        """Whether a key of `labels` speaks for a label."""
        return label.startswith(key[:-1]) if key.endswith("/*") else key == label


def read_policy(path: Path | None, besides: Path | None = None) -> tuple[PolicyFile, Document]:
    """Read and check a policy file (None: the built-in one); raises Refused or ConfigError.

    `besides` is the configuration that names it, which is never suggested in its place.
    """
    if path is None:
        text = files("service").joinpath("policies/default.yaml").read_text(encoding="utf-8")
        document = parse_document(text, BUILT_IN, "policy")
    else:
        document = read_document(path, "policy", besides)
    if document.findings:
        raise Refused(document.findings)
    try:
        file = PolicyFile.model_validate(document.data)
    except ValidationError as error:
        raise Refused([_explained(e, document) for e in error.errors(include_url=False)]) from error
    contradictions = list(_contradictions(file, document))
    if contradictions:
        raise Refused(contradictions)
    return file, document


def _contradictions(file: PolicyFile, document: Document) -> Iterator[Finding]:
    for key in (None, *file.labels):
        rule = file.default if key is None else file.rule(key)
        if isinstance(rule.review, float) and isinstance(rule.block, float) and rule.block < rule.review:
            name = f"labels.{key}" if key else "default"
            where = document.where(("labels", key) if key else ("default",))
            what = f"'{name}' blocks at {rule.block} and reviews only at {rule.review}"
            yield Finding("error", where, what, "block is the stricter action", "Make block at least review")


def _explained(error: ErrorDetails, document: Document) -> Finding:
    loc: Key = tuple(part for part in error["loc"] if part != "[key]")
    if loc[-1:] == ("number",) and loc[-2] in ("review", "block"):
        loc = loc[:-1]  # which form of a threshold was tried; nobody wrote that
    name, where = ".".join(map(str, loc)) or "policy", document.where(loc)
    if error["type"] == "extra_forbidden":
        near = did_you_mean(str(loc[-1]), _keys(loc))
        return Finding("error", where, f"unknown key '{name}'", "", near or "Remove it")
    if error["type"] == "missing":
        return Finding("error", where, f"'{name}' is missing", "", _REMEDIES.get(name, EXAMPLE))
    if error["type"] == "model_type":
        return Finding("error", where, f"'{name}' must be a mapping", "", EXAMPLE)
    if error["type"] == "string_pattern_mismatch" and loc[:1] == ("labels",):
        return Finding(
            "error", where, f"'{loc[-1]}' is no label", "", "Use a name, or a prefix with /* at its end"
        )
    value = error["input"]
    why = expected(error["type"], error.get("ctx", {}), error["msg"])
    remedy = ""
    if str(loc[-1]) in ("review", "block"):
        remedy = f"Use a number from 0 to 1, null for never, or {CALIBRATED}"
    if error["type"] == "literal_error" and isinstance(value, str):
        remedy = did_you_mean(
            value, ("enforce", "shadow") if loc[-1] == "mode" else ("allow", "review", "block")
        )
    if error["type"] == "string_pattern_mismatch":
        remedy = "Use up to 64 letters, digits, dots, underscores and hyphens"
    return Finding(
        "error", where, f"'{name}' cannot be {value!r:.60}", why, remedy or remedy_for(error["type"])
    )


_REMEDIES: Final = {
    "name": "Give the policy a name: each score carries it",
    "mode": "Write mode: enforce, or mode: shadow",
    "default": "Write default: {review: 0.7, block: 0.95}",
}


def _keys(loc: Key) -> tuple[str, ...]:
    if len(loc) == 1:
        return tuple(PolicyFile.model_fields)
    return tuple(NotEvaluated.model_fields if loc[-2] == "not_evaluated" else Rule.model_fields)
