"""Everything that scores, opened from settings and without Kafka: the one path that all verbs share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from engines.bundle import Bundle
from engines.engine import Engine, open_engine
from engines.preprocess.text import text_encoder
from service.config import EngineSettings, Settings
from service.explain import Explainer
from service.intake.intake import Intake
from service.intake.pool import DecodePool
from service.policy import Policy
from service.score import Scorer
from service.scoring import Scoring

log = logging.getLogger(__name__)


@contextmanager
def open_scoring(
    settings: Settings, *, fits: int | None = None, on_restart: Callable[[str], None] = lambda kind: None
) -> Iterator[Scoring]:
    """The path from record to score, warmed up; `fits` is the largest score record allowed.

    `on_restart` hears when a decode worker was replaced. Raises ConfigError (policy), BundleError or
    EngineError before anything is scored.
    """
    policy, bundle = Policy.load(settings.policy), Bundle.load(settings.bundle)
    with ExitStack() as stack:
        engine = engine_of(bundle, settings.engine)
        stack.callback(engine.close)
        spec, limits = bundle.preprocess, settings.limits
        pool = DecodePool(spec.image, spec.audio, limits, limits.decode_workers, on_restart=on_restart)
        pool.start()
        stack.callback(pool.close)
        engine.warm_up()
        intake = Intake(text_encoder(spec.text), pool, limits)
        wanted = settings.engine.contributions
        scorer = Scorer(
            engine.labels,
            engine.info,
            policy,
            thresholds=engine.thresholds,
            fits=fits,
            contributions=wanted,
        )
        yield Scoring(intake, engine, scorer, _explainer(engine, settings))


def _explainer(engine: Engine, settings: Settings) -> Explainer | None:
    """With an encoder of its own: the intake's is busy in another thread."""
    if not settings.engine.spans:
        return None
    encoder = text_encoder(engine.preprocess.text)
    return Explainer(engine, encoder, settings.engine.spans_words, settings.limits.text_chars)


def engine_of(bundle: Bundle, settings: EngineSettings) -> Engine:
    """The engine that the settings ask for, on a verified bundle."""
    return open_engine(
        bundle,
        backend=settings.backend,
        precision=settings.precision,
        uncalibrated=settings.uncalibrated,
        threads=settings.threads,
        tokens=settings.tokens,
        image_rows=settings.image_rows,
        audio_seconds=settings.audio_seconds,
        contributions=settings.contributions,
    )
