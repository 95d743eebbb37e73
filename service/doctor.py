"""Checks against the outside world: the client, the cluster, the topics, the model, this machine."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final, Literal

from engines.bundle import Bundle
from engines.errors import EngineError
from engines.sessions.host import cache_folder
from service.assembly import engine_of
from service.config import Settings
from service.deadletter import HEADER_BYTES
from service.diagnosis import Result, of_error
from service.doctor_gpu import gpu, refused
from service.errors import Exit, TidegateError
from service.findings import Finding
from service.kafka.admin import Facts, Topic, admin, preflight
from service.kafka.client import check_client
from service.plans import BUILD, unbuilt

SECONDS: Final = 20.0
"""For all checks together; they run side by side."""
SCORE_BYTES: Final = 16 << 10
"""A score of many labels and items takes about this much."""
CACHE_BYTES: Final = 256 << 20


Check = Callable[[Settings], Iterable[Result]]


def doctor(settings: Settings, seconds: float = SECONDS) -> Iterator[Result]:
    """Run every check side by side; results come in the order of `CHECKS`, all within `seconds`."""
    found: dict[str, list[Result]] = {}
    deadline = time.monotonic() + seconds
    threads = {
        # Daemons: a check that hangs in a library must not keep the process from ending.
        name: threading.Thread(target=partial(_run, name, check, settings, found), daemon=True, name=name)
        for name, check in CHECKS.items()
    }
    for thread in threads.values():
        thread.start()
    for name, thread in threads.items():
        thread.join(max(0.0, deadline - time.monotonic()))
        late = Result(name, "FAIL", f"no answer within {seconds:g} s", "Run it again", Exit.UNREACHABLE)
        yield from found.get(name, [late])


def exit_code(results: Iterable[Result]) -> Exit:
    """78 where the configuration has to be mended, else 69 where something is missing, else 0."""
    codes = {result.exit_code for result in results if result.state == "FAIL"}
    ranked = (Exit.CONFIG, Exit.UNREACHABLE, Exit.INTERNAL)
    return next((code for code in ranked if code in codes), Exit.OK)


def from_lint(findings: Iterable[Finding]) -> list[Result]:
    """The lint's findings as results."""
    results = [
        Result(
            "configuration",
            "FAIL" if finding.level == "error" else "WARN",
            f"{finding.where}: {finding.what}" + (f": {finding.why}" if finding.why else ""),
            finding.remedy,
            Exit.CONFIG,
        )
        for finding in findings
    ]
    return results or [Result("configuration", "PASS", "lint has nothing to say")]


def _run(name: str, check: Check, settings: Settings, found: dict[str, list[Result]]) -> None:
    try:
        results = list(check(settings))
    except TidegateError as error:
        results = [of_error(name, error, code=error.exit_code)]
    except EngineError as error:
        results = [of_error(name, error)]
    except Exception as error:  # noqa: BLE001 - one check's bug must not hide what the others found
        results = [Result(name, "FAIL", f"{type(error).__name__}: {error}", "Report this", Exit.INTERNAL)]
    found[name] = results


def _client(settings: Settings) -> Iterator[Result]:
    check_client()
    yield Result("client", "PASS", "fast checksums and the codecs lz4, zstd, snappy, gzip")


def _cluster(settings: Settings) -> Iterator[Result]:
    facts = preflight(settings)
    servers = ", ".join(settings.kafka.bootstrap_servers)
    yield Result("cluster", "PASS", f"{servers} over {settings.kafka.security.protocol}")
    partitions = {name: topic.partitions for name, topic in facts.inputs.items()}
    named = ", ".join(f"{name} ({count} partition{'s' * (count != 1)})" for name, count in partitions.items())
    yield Result("topics", "PASS", f"{named} → {facts.output.name}, {facts.deadletter.name}")
    yield from _sizes(settings, facts)
    with admin(settings.kafka) as client:
        yield from replication(facts, len(client.describe_cluster()["brokers"]))


def replication(facts: Facts, brokers: int) -> Iterator[Result]:
    """A warning for topics that one lost broker would take away, where there is another to hold a copy."""
    topics = (*facts.inputs.values(), facts.output, facts.deadletter)
    if alone := [topic.name for topic in topics if topic.replicas == 1 and brokers > 1]:
        detail = (
            f"{', '.join(alone)}: one replica, in a cluster of {brokers} brokers; with one lost, all stops"
        )
        remedy = "Give each two or three replicas with kafka-reassign-partitions.sh"
        yield Result(
            "topics", "WARN", detail, f"{remedy}; new topics: tidegate topics create --replicas 3 -c FILE"
        )


def _sizes(settings: Settings, facts: Facts) -> Iterator[Result]:
    if "compact" in facts.output.cleanup:
        detail = f"{facts.output.name} is compacted: of several scores with one key only the last stays"
        remedy = f"Unless you mean it: {_alter(settings, facts.output, 'cleanup.policy=delete')}"
        yield Result("output", "WARN", detail, remedy)
    if facts.output_max_bytes < SCORE_BYTES:
        detail = f"{facts.output.name} takes {facts.output_max_bytes} bytes; scores may need {SCORE_BYTES}"
        remedy = _alter(settings, facts.output, f"max.message.bytes={1 << 20}")
        yield Result("output", "WARN", detail, remedy)
    limit = settings.limits.record_bytes
    if settings.deadletter.mode == "content" and facts.deadletter_max_bytes < limit:
        detail = (
            f"{facts.deadletter.name} takes {facts.deadletter_max_bytes} bytes, a record may have {limit}"
        )
        command = _alter(settings, facts.deadletter, f"max.message.bytes={limit + HEADER_BYTES}")
        yield Result(
            "deadletter", "WARN", detail, f"{command} (until then larger dead letters go by reference)"
        )


def _alter(settings: Settings, topic: Topic, pair: str) -> str:
    """The command of Kafka's own tools that sets this on a topic."""
    login = "" if settings.kafka.security.protocol == "PLAINTEXT" else " --command-config client.properties"
    server = f"--bootstrap-server {settings.kafka.bootstrap_servers[0]}{login}"
    entity = f"--entity-type topics --entity-name {topic.name}"
    return f"kafka-configs.sh {server} --alter {entity} --add-config {pair}"


def _engine(settings: Settings) -> Iterator[Result]:
    bundle = Bundle.load(settings.bundle)
    # Where TensorRT does not start it builds nothing: what serves then, or why nothing does, is soon found.
    if settings.engine.build and unbuilt(settings.engine, bundle) and refused() is None:
        yield Result("engine", "WARN", "not tried: its plans are to be built", BUILD.format(bundle.name))
        return
    engine = engine_of(bundle, settings.engine)
    try:
        info = engine.info
        detail = f"{info.bundle} {info.version} scores its golden examples on {info.engine} {info.precision}"
        yield Result("engine", "PASS", detail)
        if info.synthetic:
            detail = f"{info.bundle} was trained on generated {', '.join(info.synthetic)} only"
            yield Result("engine", "WARN", detail, "Try it on your own data before you act on its scores")
        if not info.calibrated:
            what = ", ".join(info.uncalibrated) or info.precision
            detail = f"{info.bundle} is not calibrated for {what}: such probabilities mean little"
            remedy = "Calibrate it: tidegate bundle calibrate, on labelled events of yours"
            yield Result("engine", "WARN", detail, remedy)
    finally:
        engine.close()


def _cache(settings: Settings) -> Iterator[Result]:
    folder = cache_folder()
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(there, os.W_OK):
        detail, remedy = f"{folder} cannot be written", "Set XDG_CACHE_HOME, or each start measures anew"
        yield Result("cache", "WARN", detail, remedy)
        return
    free = shutil.disk_usage(there).free
    state: Literal["PASS", "WARN"] = "PASS" if free >= CACHE_BYTES else "WARN"
    remedy = "" if state == "PASS" else "Make room, or set XDG_CACHE_HOME"
    yield Result("cache", state, f"{folder}: {free >> 20} MiB free", remedy)


def _http(settings: Settings) -> Iterator[Result]:
    host, port = settings.http.host, settings.http.port
    try:
        family, kind, _, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)  # two may bind where one cannot listen
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = "something listens there (the daemon itself?)" if taken else error.strerror or str(error)
        remedy = "Stop it, or set http.port" if taken else "Set http.host and http.port"
        yield Result("http", "FAIL", f"{host}:{port}: {why}", remedy, Exit.UNREACHABLE)
        return
    yield Result("http", "PASS", f"{host}:{port} is free")


CHECKS: Final[dict[str, Check]] = {
    "client": _client,
    "cluster": _cluster,
    "gpu": gpu,
    "engine": _engine,
    "cache": _cache,
    "http": _http,
}
