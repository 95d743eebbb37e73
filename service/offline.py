"""The daemon's path from record to score, opened from settings and without Kafka: for `score` and `replay`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from engines.bundle import Bundle
from service.assembly import load_engine, load_scoring
from service.config import Settings
from service.policy import Policy
from service.scoring import Scoring


@contextmanager
def open_scoring(settings: Settings, *, fits: int | None = None) -> Iterator[Scoring]:
    """The path, warmed up; `fits` is the largest score record allowed.

    Raises ConfigError (policy) or BundleError before anything is scored.
    """
    policy, bundle = Policy.load(settings.policy), Bundle.load(settings.bundle)
    with ExitStack() as stack:
        engine = load_engine(settings, bundle)
        stack.callback(engine.close)
        yield load_scoring(settings, engine, policy, fits, stack)
