"""Everything that scores, opened from settings and without Kafka: the one path that all verbs share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Final

from engines.bundle import Bundle
from engines.cuda import devices
from engines.engine import Engine
from engines.errors import EngineError
from engines.ladder import Ladder, Wanted
from engines.planner import Budget
from engines.preprocess.text import text_encoder
from service.config import EngineSettings, Settings
from service.errors import UnreachableError
from service.explain import Explainer
from service.intake.intake import Intake
from service.intake.pool import DecodePool
from service.policy import Policy
from service.score import Scorer
from service.scoring import Scoring, Serving
from service.starting import IN_PLACE, Show, Start

log = logging.getLogger(__name__)

HOST: Final = Budget()
GPU: Final = Budget(tokens=16_384, image_rows=64, audio_seconds=160.0)
"""What a micro-batch holds where nothing else is set."""


@contextmanager
def open_scoring(
    settings: Settings,
    *,
    fits: int | None = None,
    on_restart: Callable[[str], None] = lambda kind: None,
    start: Start = IN_PLACE,
) -> Iterator[Scoring]:
    """The path from record to score, warmed up; `fits` is the largest score record allowed.

    `on_restart` hears when a decode worker was replaced. Raises ConfigError (policy), BundleError or
    EngineError before anything is scored, UnreachableError where a GPU is lost or full, and what `start`
    raises.
    """
    policy, bundle = Policy.load(settings.policy), Bundle.load(settings.bundle)
    with ExitStack() as stack:
        ladder = ladder_of(bundle, settings.engine, start.progress)
        engine = start.run(partial(_first, ladder))
        stack.callback(engine.close)
        spec, limits = bundle.preprocess, settings.limits
        pool = DecodePool(spec.image, spec.audio, limits, limits.decode_workers, on_restart=on_restart)
        pool.start()
        stack.callback(pool.close)
        intake = Intake(text_encoder(spec.text), pool, limits)
        serving = partial(_serving, settings, policy, fits)
        scoring = Scoring(intake, engine, ladder, serving, settings.engine.retry_seconds)
        stack.callback(_close_other, scoring, engine)
        stack.callback(scoring.beside.close)
        yield scoring


def _first(ladder: Ladder) -> Engine:
    try:
        return ladder.open()
    except EngineError as error:
        if any(
            step.code in ("device_lost", "out_of_memory") for step in ladder.steps
        ):  # of today, not of ours
            raise UnreachableError(
                error.what, where=error.where, why=error.why, remedy=error.remedy
            ) from error
        raise


def _close_other(scoring: Scoring, first: Engine) -> None:
    if scoring.engine is not first:
        scoring.engine.close()


def _serving(settings: Settings, policy: Policy, fits: int | None, engine: Engine) -> Serving:
    scorer = Scorer(
        engine.labels,
        engine.info,
        policy,
        thresholds=engine.thresholds,
        fits=fits,
        contributions=settings.engine.contributions,
    )
    return Serving(engine, scorer, _explainer(engine, settings))


def _explainer(engine: Engine, settings: Settings) -> Explainer | None:
    """With an encoder of its own: the intake's is busy in another thread."""
    if not settings.engine.spans:
        return None
    encoder = text_encoder(engine.preprocess.text)
    return Explainer(engine, encoder, settings.engine.spans_words, settings.limits.text_chars)


def ladder_of(
    bundle: Bundle, settings: EngineSettings, progress: Show | None = None, *, anew: bool = False
) -> Ladder:
    """The engines that the settings allow on a verified bundle; `anew` as in `Wanted`."""
    wanted = Wanted(
        backend=settings.backend,
        precision=settings.precision,
        threads=settings.threads,
        host=_budget(bundle, settings, HOST),
        gpu=_budget(bundle, settings, GPU),
        contributions=settings.contributions,
        uncalibrated=settings.uncalibrated,
        devices=_devices(settings),
        gpu_memory=settings.gpu_memory,
        cpu_fallback=settings.cpu_fallback,
        progress=progress,
        plans=settings.plans,
        build=settings.build,
        anew=anew,
    )
    return Ladder(bundle, wanted)


def engine_of(bundle: Bundle, settings: EngineSettings) -> Engine:
    """The engine that the settings ask for, warmed up, on a verified bundle; raises EngineError."""
    return ladder_of(bundle, settings).open()


def _budget(bundle: Bundle, settings: EngineSettings, usual: Budget) -> Budget:
    return replace(
        usual,
        tokens=settings.tokens or usual.tokens,
        image_rows=settings.image_rows or usual.image_rows,
        audio_seconds=settings.audio_seconds or usual.audio_seconds,
        rate=bundle.preprocess.audio.rate,
    )


def _devices(settings: EngineSettings) -> tuple[int, ...]:
    if settings.devices != "all":
        return tuple(dict.fromkeys(settings.devices))
    try:
        return tuple(device.index for device in devices())
    except EngineError:  # whoever needs one says so
        return (0,)
