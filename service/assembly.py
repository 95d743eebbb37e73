"""Putting a scoring path together from settings, for every verb that scores."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack

from engines.engine import Engine, open_engine
from engines.preprocess.text import text_encoder

from engines.bundle import Bundle
from service.config import Settings
from service.intake.intake import Intake
from service.intake.pool import DecodePool
from service.policy import Policy
from service.score import Scorer
from service.scoring import Scoring

log = logging.getLogger(__name__)


def load_engine(settings: Settings, bundle: Bundle) -> Engine:
    """Open and warm up the engine the settings ask for."""
    wanted = settings.engine
    engine = open_engine(
        bundle,
        backend=wanted.backend,
        precision=wanted.precision,
        threads=wanted.threads,
        tokens=wanted.tokens,
        image_rows=wanted.image_rows,
        audio_seconds=wanted.audio_seconds,
        contributions=wanted.contributions,
    )
    engine.warm_up()
    return engine


def load_scoring(
    settings: Settings,
    engine: Engine,
    policy: Policy,
    fits: int | None,
    stack: ExitStack,
    on_restart: Callable[[str], None] = lambda kind: None,
) -> Scoring:
    """Intake, engine and scorer as one path; the decode workers end with `stack`."""
    spec = engine.preprocess

    def restarted(kind: str) -> None:
        on_restart(kind)
        log.warning("a decode worker was replaced", extra={"fields": {"cause": kind}})

    pool = DecodePool(
        spec.image, spec.audio, settings.limits, settings.limits.decode_workers, on_restart=restarted
    )
    pool.start()
    stack.callback(pool.close)
    intake = Intake(text_encoder(spec.text), pool, settings.limits)
    return Scoring(intake, engine, Scorer(engine.labels, engine.info, policy, fits=fits))
