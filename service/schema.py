"""The published JSON Schemas (Draft 2020-12), generated from the models that the code runs on."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

from pydantic import BaseModel

from service.config import Settings
from service.deadletter import DeadLetterModel
from service.event import EventModel
from service.layers import SECRETS
from service.score_model import ScoreModel

Kind = Literal["event", "score", "deadletter", "config"]

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_MODELS: Final[dict[Kind, tuple[type[BaseModel], str]]] = {
    "event": (EventModel, "A Tidegate event: the JSON form of one Kafka record"),
    "score": (ScoreModel, "A Tidegate score"),
    "deadletter": (DeadLetterModel, "The headers of a Tidegate dead letter, decimal numbers read as numbers"),
    "config": (Settings, "A Tidegate configuration"),
}


def schema_of(kind: Kind) -> dict[str, Any]:
    """The JSON Schema of one kind of document."""
    model, title = _MODELS[kind]
    schema = model.model_json_schema(by_alias=True)
    if kind == "config":  # a file never holds a secret
        for path in SECRETS:
            schema["$defs"]["Security"]["properties"].pop(path[-1])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:tidegate:{kind}:1",
        **schema,
        "title": title,
    }
