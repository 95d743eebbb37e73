"""The daemon's story: check, load, warm up, join, serve, drain."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from types import FrameType
from typing import Final

from engines.engine import Engine
from service.account import Account
from service.answers import Answers
from service.assembly import open_scoring
from service.buffer import Buffer
from service.caution import Caution
from service.config import Settings
from service.errors import Exit, TidegateError
from service.failover import held, tell_start
from service.failpoint import FailPoints
from service.fuse import Fuse
from service.health import Health
from service.http import HttpServer
from service.intakeloop import IntakeLoop
from service.kafka.admin import Facts, preflight
from service.kafka.checkpoint import Checkpoint
from service.kafka.client import check_client
from service.kafka.quiet import quiet_client
from service.kafka.sink import Sink
from service.kafka.source import Source
from service.membership import Membership
from service.metrics import Metrics
from service.pipeline import Pipeline
from service.policy import Policy
from service.publisher import Publisher
from service.scoring import Scoring
from service.starting import Bars, DaemonStart, Stopped, leave
from service.supervisor import Supervisor

log = logging.getLogger(__name__)

LEAVE_SECONDS: Final = 4.0  # of the grace period, kept for the last commit and for leaving the group
ALIVE_SECONDS: Final = 50.0  # a poll may last a revoke's drain, and beside that a slow broker's answers
CLOSE_SECONDS: Final = 1.0  # and for closing what else is open


@dataclass(slots=True)
class Signals:
    """SIGTERM and SIGINT ask for a drain; the second one ends the process at once."""

    asked: threading.Event = field(default_factory=threading.Event)
    at: float = 0.0
    """When the first came, monotonic seconds."""

    def install(self) -> None:
        """Take both signals."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked.is_set():
            os._exit(Exit.GAVE_UP_DRAINING)
        self.at = time.monotonic()
        self.asked.set()


def run(settings: Settings, *, fuse_accept: int = 0, bars: Bars | None = None) -> Exit:
    """Serve until a signal; the exit code says how it ended. `bars` show a person what is being built.

    Raises ConfigError (78) or UnreachableError (69) before the first record is read.
    """
    code = _run(settings, fuse_accept, bars)
    leave(code)
    return code


def _run(settings: Settings, fuse_accept: int, bars: Bars | None) -> Exit:
    signals = Signals()
    signals.install()
    quiet_client()
    with ExitStack() as stack:
        metrics, health, fail = Metrics(), Health(), FailPoints.of_environment()
        http = HttpServer(settings.http.host, settings.http.port, health, metrics.registry)
        stack.callback(http.close)
        policy = Policy.load(settings.policy)
        check_client()
        facts = preflight(settings)
        restarted = partial(count_restart, metrics)
        fits = facts.output_max_bytes
        start = DaemonStart(health, signals.asked, bars)
        try:
            opening = open_scoring(settings, fits=fits, on_restart=restarted, start=start)
            scoring = stack.enter_context(opening)
        except Stopped:
            log.info("stopped before the start was over: nothing was read")
            return Exit.OK
        daemon = Daemon(settings, scoring, policy, facts, metrics, health, fail, fuse_accept)
        stack.callback(daemon.sink.close, CLOSE_SECONDS)
        describe(scoring.engine, policy, metrics)
        tell_start(scoring, metrics, health)
        if signals.asked.is_set():
            return Exit.OK  # asked to stop while starting: nothing was read
        daemon.start()
        daemon.supervisor.tick()  # no moment of readiness before the first assignment
        health.started()
        log.info("serving", extra={"fields": {"http": http.address, "group": settings.kafka.group}})
        daemon.supervisor.watch(signals.asked)
        health.trouble("draining", "the daemon is stopping")
        return daemon.drain(signals.at or time.monotonic())


def describe(engine: Engine, policy: Policy, metrics: Metrics) -> None:
    """Say in log and metrics what exactly scores."""
    info = engine.info
    metrics.build_info.labels(version("tidegate")).set(1)
    metrics.bundle_info.labels(info.digest).set(1)
    metrics.serves(info, held(engine))
    fields = {"bundle": info.bundle, "engine": info.engine, "precision": info.precision, "why": info.why}
    log.info("engine ready", extra={"fields": fields | {"policy": policy.reference}})
    if info.synthetic:
        log.warning(
            "what the bundle says of these modalities it learnt from generated data: judge nobody by it",
            extra={"fields": {"modalities": list(info.synthetic)}},
        )
    if info.uncalibrated:
        log.warning(
            "the probabilities of these labels are not calibrated: they mean little",
            extra={"fields": {"bundle": info.bundle, "labels": list(info.uncalibrated)}},
        )
    elif not info.calibrated:
        log.warning(
            "this bundle is not calibrated for this precision: its probabilities and thresholds mean little",
            extra={"fields": {"bundle": info.bundle, "precision": info.precision}},
        )


def count_restart(metrics: Metrics, kind: str) -> None:
    """A decode worker died or was ended; the item it had is in trouble, not the daemon."""
    metrics.worker_restarts.labels("decode").inc()
    log.warning("a decode worker was replaced", extra={"fields": {"cause": kind}})


class Daemon:
    """The running parts, wired; `start`, then `supervisor.watch`, then `drain`."""

    def __init__(
        self,
        settings: Settings,
        scoring: Scoring,
        policy: Policy,
        facts: Facts,
        metrics: Metrics,
        health: Health,
        fail: FailPoints,
        fuse_accept: int = 0,
    ) -> None:
        limits = settings.limits
        self._grace = limits.grace_seconds
        self.checkpoint = Checkpoint()
        caution = Caution(3 * limits.cycle_records)
        fuse = Fuse(settings.deadletter.fuse, fuse_accept)
        replaced = metrics.producer_replacements
        self.sink = Sink(settings.kafka, on_replaced=lambda reason: replaced.labels(reason).inc())
        member = Membership(metrics, caution, fuse, self.sink)
        self.source = Source(
            settings.kafka, settings.input, self.checkpoint, member, drain_seconds=limits.drain_seconds
        )
        member.source = self.source
        buffer = Buffer(limits, self.checkpoint, caution)
        answers = Answers(settings, scoring, fuse, metrics, facts.deadletter_max_bytes)
        account = Account(metrics, policy, scoring.engine.labels.names)
        publisher = Publisher(answers, account, self.sink, health, metrics, self.checkpoint.owns)
        self.pipeline = Pipeline(
            buffer, self.checkpoint, caution, scoring, answers, publisher, member, metrics, health, fail
        )
        alive = ALIVE_SECONDS + limits.drain_seconds
        self.loop = IntakeLoop(self.source, buffer, metrics, health, fail, alive=alive)
        self.supervisor = Supervisor(
            self.source, self.sink, self.loop, self.pipeline, buffer, fuse, member, metrics, health
        )

    def start(self) -> None:
        """Join the group and let the stages run; raises ConfigError or UnreachableError."""
        self.sink.open()  # now, so that settings only the connected client refuses end the start
        self.pipeline.start()
        self.loop.start()

    def drain(self, asked: float) -> Exit:
        """Finish what is in flight, commit, leave the group: within the grace period from `asked` on."""
        began = time.monotonic()
        deadline = asked + self._grace - CLOSE_SECONDS
        self.loop.stop()
        drained = self.pipeline.drain(deadline - LEAVE_SECONDS)
        if not drained:
            self.sink.kill()
        settled = self.loop.settle(deadline)
        self.sink.close(max(0.5, min(2.0, deadline - time.monotonic())))
        seconds = round(time.monotonic() - began, 2)
        log.info("stopped", extra={"fields": {"drained": drained, "settled": settled, "seconds": seconds}})
        return self._ending(drained and settled)

    def _ending(self, clean: bool) -> Exit:
        failure = self.pipeline.failure or self.loop.failure
        if failure is not None:
            return failure.exit_code if isinstance(failure, TidegateError) else Exit.INTERNAL
        return Exit.OK if clean else Exit.GAVE_UP_DRAINING
