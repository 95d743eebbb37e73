"""SIGTERM finishes what is under way, commits exactly that, and leaves; a second one does not wait."""

from __future__ import annotations

from collections.abc import Callable

from tests.checker import Lane
from tests.cluster import until
from tests.harness import World, posts


def answered_prefix(world: World) -> dict[Lane, int]:
    """For each partition the offset after its last answered event; fails where there is a hole before it."""
    done: dict[Lane, set[int]] = {Lane(*fact.at[:2]): set() for fact in world.came}
    for answer in world.answers():
        assert answer.origin
        done.setdefault(Lane(*answer.origin[:2]), set()).add(answer.origin.offset)
    assert all(offsets == set(range(len(offsets))) for offsets in done.values())
    return {lane: len(offsets) for lane, offsets in done.items()}


def test_under_load_it_exits_0_with_exactly_the_acknowledged_committed_and_nothing_repeated(
    world: Callable[..., World],
):
    here = world(partitions=2, settings={"limits": {"cycle_records": 200}})
    here.send(posts(4000, keys=11))
    with here.daemon() as daemon:
        until(40, "first scores", lambda: len(here.answers()) > 0)
        here.send(posts(2000, keys=11, start=4000))
        assert daemon.stop() == 0, daemon.log[-4000:]
    first = len(here.answers())
    assert here.committed() == answered_prefix(here)
    print(f"{first} of {len(here.came)} answered when it stopped")
    assert first < len(here.came), "the load was too small to show a drain"
    with here.daemon() as daemon:
        here.wait_answered(60, daemon)
        assert daemon.stop() == 0
    assert here.verdict().problems(duplicates=0) == []


def test_sigint_is_sigterm(world: Callable[..., World]):
    import signal

    here = world()
    here.send(posts(10))
    with here.daemon() as daemon:
        here.wait_answered(40, daemon)
        daemon.process.send_signal(signal.SIGINT)
        assert daemon.wait() == 0
    assert here.committed() == answered_prefix(here)


def test_an_idle_daemon_stops_quickly(world: Callable[..., World]):
    import time

    here = world()
    with here.daemon() as daemon:
        daemon.wait_ready()
        began = time.monotonic()
        assert daemon.stop() == 0
    assert time.monotonic() - began < 5
