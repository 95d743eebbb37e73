"""Everything that scores, opened from settings and without Kafka: for `score`, `replay` and tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from engines.bundle import Bundle
from engines.engine import Engine, open_engine
from engines.preprocess.text import text_encoder
from service.config import EngineSettings, Settings
from service.intake.intake import Intake
from service.intake.pool import DecodePool
from service.policy import Policy
from service.score import Scorer
from service.scoring import Scoring


@contextmanager
def open_scoring(
    settings: Settings, *, fits: int | None = None, on_restart: Callable[[str], None] = lambda kind: None
) -> Iterator[Scoring]:
    """The daemon's own path from record to score, warmed up; `fits` is the largest score record allowed.

    Raises ConfigError (policy) or BundleError before anything is scored.
    """
    policy, bundle = Policy.load(settings.policy), Bundle.load(settings.bundle)
    with ExitStack() as stack:
        engine = engine_of(bundle, settings.engine)
        stack.callback(engine.close)
        spec, limits = bundle.preprocess, settings.limits
        pool = DecodePool(spec.image, spec.audio, limits, limits.decode_workers, on_restart)
        stack.callback(pool.close)
        pool.start()
        intake = Intake(text_encoder(spec.text), pool, limits)
        engine.warm_up()
        yield Scoring(intake, engine, Scorer(engine.labels, engine.info, policy, fits=fits))


def engine_of(bundle: Bundle, settings: EngineSettings) -> Engine:
    """The engine that the settings ask for, on a verified bundle."""
    return open_engine(
        bundle,
        backend=settings.backend,
        precision=settings.precision,
        threads=settings.threads,
        tokens=settings.tokens,
        image_rows=settings.image_rows,
        audio_seconds=settings.audio_seconds,
        contributions=settings.contributions,
    )
