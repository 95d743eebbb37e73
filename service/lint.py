"""What a configuration means, checked without the outside world: contradictions, risks, missing files."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from engines.bundle import Bundle
from engines.errors import EngineError
from service.calibrated import unmet
from service.config import Settings
from service.document import Document
from service.errors import ConfigError
from service.findings import Finding, Refused, did_you_mean, error, warning
from service.lint_kafka import lint_kafka
from service.load import Source
from service.policy_file import BUILT_IN, PolicyFile, read_policy

Check = Callable[[Settings, Source], Iterable[Finding]]
_HOST: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")


def lint(settings: Settings, source: Source | None = None) -> list[Finding]:
    """Every finding, errors first; `source` says where each setting stands."""
    return _found(CHECKS, settings, source or Source(Document("settings", {})))


def lint_model(settings: Settings, source: Source) -> list[Finding]:
    """The findings about policy and bundle alone, for what scores without Kafka."""
    return _found((_policy_and_bundle,), settings, source)


def _found(checks: Iterable[Check], settings: Settings, source: Source) -> list[Finding]:
    found = [finding for check in checks for finding in check(settings, source)]
    return sorted(found, key=lambda finding: finding.level != "error")


def _delivery(settings: Settings, source: Source) -> Iterator[Finding]:
    if settings.delivery == "exactly_once":
        what, why = "delivery: exactly_once is not built yet", "scores could be repeated after a fault"
        yield error(source.where("delivery"), what, why, "Set delivery: at_least_once")


def _topics(settings: Settings, source: Source) -> Iterator[Finding]:
    topics, where = settings.input.topics, source.where("input", "topics")
    reads: Callable[[str], bool] = topics.__contains__
    if isinstance(topics, str):
        try:
            pattern = re.compile(topics)
        except re.error as cause:
            yield error(where, "input.topics is not a regular expression", str(cause), "Mend it")
            return
        reads = lambda topic: pattern.match(topic) is not None  # noqa: E731 - one of two meanings of a name
        if not topics.startswith("^"):
            why = "a single string is a regular expression, and this one matches every topic that begins so"
            remedy = f"Write [{topics}] for the topic, or ^… for a pattern"
            yield error(where, f"input.topics {topics!r} does not start with ^", why, remedy)
    for role, topic in (("output", settings.output.topic), ("deadletter", settings.deadletter.topic)):
        if reads(topic):
            what, why = (
                f"{role}.topic '{topic}' is also an input",
                "what is written there would be read for ever",
            )
            yield Finding(
                "error", source.where(role, "topic"), what, why, "Choose another, or narrow input.topics"
            )
    if settings.output.topic == settings.deadletter.topic:
        what = f"output.topic and deadletter.topic are both '{settings.output.topic}'"
        where = source.where("deadletter", "topic")
        yield error(where, what, "readers of scores would meet dead letters", "Give each its own")


def _http(settings: Settings, source: Source) -> Iterator[Finding]:
    host = settings.http.host
    if not (_HOST.fullmatch(host) or _address(host)):
        what = f"http.host {host!r} is neither an address nor a host name"
        yield error(source.where("http", "host"), what, "", "Write 127.0.0.1, 0.0.0.0, ::1 or a name")
    elif not is_loopback(host):
        what = f"http.host {host} can be reached from other machines"
        why = "probes and metrics need no password"
        remedy = "Keep 127.0.0.1, or let only your monitoring reach the port"
        yield warning(source.where("http", "host"), what, why, remedy)


def _limits(settings: Settings, source: Source) -> Iterator[Finding]:
    limits = settings.limits
    pairs = (
        ("image_bytes", "record_bytes", "an image comes inside its record, so this limit is never reached"),
        ("audio_bytes", "record_bytes", "a sound comes inside its record, so this limit is never reached"),
        ("cycle_records", "buffer_records", "a cycle is cut from the buffer and cannot be larger"),
        ("cycle_bytes", "buffer_bytes", "a cycle is cut from the buffer and cannot be larger"),
        ("record_bytes", "buffer_bytes", "one record would fill the buffer alone"),
        ("drain_seconds", "grace_seconds", "a shutdown could end before a rebalance would"),
    )
    for small, large, why in pairs:
        if getattr(limits, small) > getattr(limits, large):
            values = f"{getattr(limits, small)} > {getattr(limits, large)}"
            what = f"limits.{small} is more than limits.{large} ({values})"
            yield Finding(
                "warning", source.where("limits", small), what, why, f"Lower {small}, or raise {large}"
            )
    if limits.grace_seconds < 3 * limits.cycle_seconds:
        what = (
            f"limits.grace_seconds {limits.grace_seconds:g} is short for cycles of {limits.cycle_seconds:g}"
        )
        why = "a drain takes up to three cycles, and one that is cut off exits 75"
        remedy = "Allow at least three cycles"
        yield warning(source.where("limits", "grace_seconds"), what, why, remedy)
    if limits.event_age is None and limits.event_age_action != "score":
        what = f"limits.event_age_action: {limits.event_age_action} has no effect"
        where = source.where("limits", "event_age_action")
        yield warning(where, what, "limits.event_age is not set", "Set event_age in seconds")


def _policy_and_bundle(settings: Settings, source: Source) -> Iterator[Finding]:
    policy: PolicyFile | None = None
    document = Document(BUILT_IN, {})
    bundle: Bundle | None = None
    try:
        policy, document = read_policy(settings.policy, Path(source.document.name))
    except Refused as refused:
        yield from refused.findings
    except ConfigError as cause:
        yield Finding(
            "error", source.where("policy"), cause.what, f"{cause.where}: {cause.why}", cause.remedy
        )
    try:
        bundle = Bundle.load(Path(settings.bundle) if "/" in settings.bundle else settings.bundle)
    except EngineError as cause:
        why = f"{cause.where}: {cause.why}" if cause.where else cause.why
        yield error(source.where("bundle"), cause.what, why, cause.remedy)
    if bundle is not None:
        yield from _precision(settings, source, bundle)
        if policy is not None and settings.policy is not None:
            yield from unknown_labels(policy, document, bundle.labels.names)
            yield from _thresholds(policy, document, settings, bundle)


def _thresholds(
    policy: PolicyFile, document: Document, settings: Settings, bundle: Bundle
) -> Iterator[Finding]:
    """What the policy leaves to the bundle and the bundle has not, at any precision that may be chosen."""
    precisions = {p for p in bundle.precisions if settings.engine.precision in ("auto", p)}
    fits = [bundle.calibration[p].thresholds for p in sorted(precisions)] or [{}]
    found = (unmet(policy, document, bundle.labels.names, thresholds) for thresholds in fits)
    yield from dict.fromkeys(finding for each in found for finding in each)


def _precision(settings: Settings, source: Source, bundle: Bundle) -> Iterator[Finding]:
    precision, allowed = settings.engine.precision, settings.engine.uncalibrated
    known = f"it is calibrated for {', '.join(bundle.precisions)}"
    if not bundle.calibrated:
        what = f"bundle '{bundle.name}' is not calibrated"
        remedy = "Calibrate it: tidegate bundle calibrate, on labelled events of yours"
        level = error if allowed == "refuse" else warning
        yield level(source.where("bundle"), what, "its probabilities mean little", remedy)
    elif precision not in ("auto", *bundle.precisions):
        what = f"engine.precision: {precision} is not one of bundle '{bundle.name}'"
        remedy = "Set auto, or one of these, or calibrate it for this one"
        level = warning if allowed == "warn" else error
        yield level(source.where("engine", "precision"), what, known, remedy)


def unknown_labels(policy: PolicyFile, document: Document, names: Iterable[str]) -> Iterator[Finding]:
    """Rules that can never apply: an error for a name (most often misspelt), a warning for a pattern.

    And for the names of the built-in policy: it is for any bundle, and a copy of it is where policies start.
    """
    known, common = list(names), read_policy(None)[0].labels
    for key in policy.labels:
        if any(policy.covers(key, name) for name in known):
            continue
        pattern = key.endswith("/*")
        what = f"no label of the bundle {'fits' if pattern else 'is called'} '{key}'"
        why = "the rule would never apply"
        where, remedy = document.where(("labels", key)), did_you_mean(key, known) or "Remove the rule"
        yield (warning if pattern or key in common else error)(where, what, why, remedy)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine alone."""
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


CHECKS: Final[tuple[Check, ...]] = (_delivery, _topics, lint_kafka, _http, _limits, _policy_and_bundle)
