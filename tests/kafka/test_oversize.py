"""What is too large goes by reference, or alone: the stream goes on."""

from __future__ import annotations

from collections.abc import Callable

from tests.checker import Fact
from tests.cluster import Sent
from tests.conftest import SMALL_LETTER, SMALL_RECORD
from tests.harness import Daemon, World, post


def class_and_reason(letter: Fact) -> tuple[bytes | None, ...]:
    headers = dict(letter.headers)
    return tuple(headers[f"tidegate-dlq-{name}"] for name in ("class", "reason", "mode"))


def test_a_record_over_the_limit_becomes_a_dead_letter_by_reference(serving: tuple[World, Daemon]):
    world, daemon = serving
    large = Sent(post("x" * (SMALL_RECORD + 1)), b"key", (("who", b"me"),))
    before, fact, after = world.send([posted("before"), large, posted("after")])
    world.wait_answered(20, daemon)
    letter = world.dead_of(fact)
    assert class_and_reason(letter) == (b"invalid", b"too_large", b"reference")
    assert (letter.key, letter.value) == ("/".join(map(str, fact.at)).encode(), b"")
    assert world.score_of(before)
    assert world.score_of(after)


def test_a_broken_record_that_the_dead_letter_topic_cannot_hold_goes_by_reference(
    serving: tuple[World, Daemon],
):
    world, daemon = serving
    fact, after = world.send([Sent(b"{" + b"x" * (SMALL_LETTER + 1)), posted("after")])
    world.wait_answered(20, daemon)
    letter = world.dead_of(fact)
    assert class_and_reason(letter) == (b"invalid", b"invalid_json", b"reference")
    assert letter.value == b""
    assert world.score_of(after)


def test_a_score_that_the_output_topic_cannot_hold_is_found_before_it_is_sent(world: Callable[..., World]):
    here = world()
    here.cluster.configure(here.output, max_message_bytes="20000")
    with here.daemon() as daemon:
        daemon.wait_ready()
        check_one_score_too_large(here, daemon)
        assert "tidegate_producer_replacements_total{" not in daemon.get("/metrics")[1]


def test_a_score_that_the_broker_rejects_is_handled_alone(world: Callable[..., World]):
    here = world()
    with here.daemon() as daemon:
        daemon.wait_ready()
        here.cluster.configure(here.output, max_message_bytes="20000")  # after the daemon looked
        check_one_score_too_large(here, daemon)
        assert 'tidegate_producer_replacements_total{reason="rejected"}' in daemon.get("/metrics")[1]


def test_a_compacted_output_topic_takes_the_scores_of_events_without_a_key(world: Callable[..., World]):
    here = world()
    here.cluster.configure(here.output, cleanup_policy="compact")
    here.send([Sent(post("no key")) for _ in range(5)])
    with here.daemon() as daemon:
        here.wait_answered(40, daemon)
        assert daemon.stop() == 0
    assert here.verdict().problems(duplicates=0) == []


def check_one_score_too_large(here: World, daemon: Daemon) -> None:
    before = here.send([posted(f"before {k}") for k in range(20)])
    (large,) = here.send([Sent(post("small text", author="a" * 30_000), b"key")])
    after = here.send([posted(f"after {k}") for k in range(20)])
    here.wait_answered(30, daemon)
    assert class_and_reason(here.dead_of(large)) == (b"invalid", b"too_large", b"content")
    assert all(here.score_of(fact) for fact in before + after)
    assert here.verdict().problems(duplicates=0) == []
    assert daemon.ready


def posted(text: str) -> Sent:
    return Sent(post(text), b"key")
