"""Members come and go, partitions are added: every event is answered, in order, and nobody waits long."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.checker import Lane
from tests.cluster import Sampler, Sent, until
from tests.harness import Daemon, World, post, posts

SILENCE_SECONDS = 10.0


def longest_silence(world: World) -> dict[Lane, float]:
    """For each input partition the longest pause between two scores, in seconds of the brokers' records."""
    times: dict[Lane, list[int]] = defaultdict(list)
    for answer in world.answers():
        assert answer.origin
        times[Lane(*answer.origin[:2])].append(answer.fact.time)
    return {
        lane: max((b - a for a, b in zip(sorted(found), sorted(found)[1:], strict=False)), default=0) / 1e3
        for lane, found in times.items()
    }


class Feed:
    """A steady stream of keyed events in the background."""

    def __init__(self, world: World, per_second: int, keys: int) -> None:
        self._world, self._pause, self._keys = world, 0.1, keys
        self._burst = max(1, round(per_second * self._pause))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Feed:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _run(self) -> None:
        start = 0
        while not self._stop.wait(self._pause):
            self._world.send(posts(self._burst, self._keys, start))
            start += self._burst


def scored_by(daemon: Daemon) -> float:
    """How many records it says it scored: only to know that it had work at all."""
    (line,) = (
        x for x in daemon.get("/metrics")[1].splitlines() if x.startswith("tidegate_records_scored_total ")
    )
    return float(line.split()[1])


def test_a_second_member_joins_and_leaves_under_load(world: Callable[..., World]):
    here = world(partitions=4)
    with here.daemon() as first, Sampler(here.cluster, here.group, [here.output, here.dead], 0.2) as sampler:
        first.wait_ready()
        with Feed(here, per_second=300, keys=24):
            time.sleep(2)
            with here.daemon() as second:
                second.wait_ready()
                time.sleep(4)
                worked = scored_by(second)
                assert second.stop() == 0, second.log[-4000:]
            time.sleep(4)
        here.wait_answered(30, first)
        here.wait_committed()
        assert first.stop() == 0
    verdict, silence = here.verdict(sampler.samples), longest_silence(here)
    print(
        f"{verdict.scored} scored, {worked:.0f} by the second, {verdict.duplicates} twice, silence {silence}"
    )
    assert verdict.problems(duplicates=0) == []
    assert worked > 0
    assert len(silence) == 4
    assert max(silence.values()) < SILENCE_SECONDS


@contextmanager
def ended(daemon: Daemon) -> Iterator[None]:
    """For one that starts later: it ends with the test."""
    try:
        yield
    finally:
        daemon.__exit__()


QUICK = {"kafka": {"consumer": {"session_timeout_ms": 4000}}, "limits": {"drain_seconds": 2}}


def test_a_member_is_killed_and_another_is_stopped_in_the_rebalance_that_follows(
    world: Callable[..., World],
):
    """No commit is taken until a rebalance is through, and that waits for the dead member's session."""
    here = world(partitions=4, settings=QUICK)
    third = here.daemon()
    with here.daemon() as first, here.daemon() as second, ended(third):
        for daemon in (first, second):
            daemon.wait_ready()
        with Feed(here, per_second=300, keys=24):
            time.sleep(2)
            second.kill()
            third.start()
            until(20, "a rebalance", lambda: "source" in (first.reasons() or {}))
            assert first.stop() == 0, first.log[-4000:]
            third.wait_ready()
            time.sleep(2)
        here.wait_answered(30, third)
        assert third.stop() == 0
    verdict, silence = here.verdict(), longest_silence(here)
    print(f"{verdict.scored} scored, {verdict.duplicates} twice, silence {silence}")
    assert verdict.problems() == []
    assert max(silence.values()) < SILENCE_SECONDS


def test_a_partition_added_while_running_is_read_from_its_start(world: Callable[..., World]):
    here = world()
    with here.daemon() as daemon:
        here.send(posts(20))
        here.wait_answered(40, daemon)
        here.cluster.add_partitions(here.input, 3)
        time.sleep(1.2)  # until our own producer knows
        here.send([Sent(post(f"to a new partition, {k}"), partition=k % 3) for k in range(30)])
        seconds = here.wait_answered(20, daemon)
        print(f"read {seconds:.1f} s after the first event in it")
        assert daemon.stop() == 0
    assert {fact.at.partition for fact in here.came} == {0, 1, 2}
    assert here.verdict().problems(duplicates=0) == []
