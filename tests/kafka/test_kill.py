"""`kill -9` at the worst moments: nothing lost, nothing committed too early, and no crash loop."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.cluster import Sampler, Sent, until
from tests.harness import Daemon, World, media, picture, post, posts

# A killed member's seat stays taken until its session ends, and a successor waits for that.
QUICK = {
    "kafka": {"consumer": {"session_timeout_ms": 2000, "heartbeat_interval_ms": 300}},
    "limits": {"drain_seconds": 1},
}
SMALL_CYCLES = {"limits": {"cycle_records": 50, "drain_seconds": 1}}


def died(daemon: Daemon) -> None:
    assert daemon.wait(40) == -signal.SIGKILL, daemon.log[-4000:]
    until(5, "decode workers die with their parent", lambda: not daemon.orphans)


@pytest.mark.parametrize(
    ("point", "repeated"),
    [("poll:2", 0), ("infer:3", 0), ("produced:3", 50), ("acked:3", 50)],
    ids=["after poll", "mid-inference", "before acknowledgement", "before commit"],
)
def test_killed_at_any_point_every_event_is_answered_after_a_restart(
    world: Callable[..., World], point: str, repeated: int
):
    """Cycles of 50 overlap: what was published and not committed, one window, may come twice."""
    here = world(partitions=2, settings=QUICK | SMALL_CYCLES)
    here.send(posts(150, keys=7))
    with Sampler(here.cluster, here.group, [here.output, here.dead]) as sampler:
        with here.daemon(env={"TIDEGATE_FAIL": point}) as daemon:
            if point.startswith("poll"):
                here.wait_answered(40, daemon)
                here.send(posts(50, keys=7, start=150))
            died(daemon)
        assert not here.verdict().overcommitted, "right after the death"
        before = len(here.answers())
        with here.daemon() as daemon:
            here.send(posts(50, keys=7, start=200))
            here.wait_answered(40, daemon)
            here.wait_committed()
            assert daemon.stop() == 0
    verdict = here.verdict(sampler.samples)
    print(f"{point}: {before} answered before the death, {verdict.duplicates} repeated")
    assert verdict.problems(duplicates=150 if before else 0) == []
    if repeated:
        assert before


def die_until_isolated(here: World) -> int:
    """Start again and again, as a supervisor does, until all is answered; returns how often it died."""
    for deaths in range(12):
        with here.daemon(env={"TIDEGATE_FAIL": "infer=MARKER"}) as daemon:
            until(
                40, "death or all done", lambda: daemon.process.poll() is not None or not here.open_places()
            )
            if daemon.process.poll() is None:
                here.wait_committed()
                assert daemon.stop() == 0
                return deaths
            died(daemon)
    raise AssertionError("a crash loop")


def test_a_record_that_kills_the_process_each_time_is_isolated_and_its_neighbours_are_scored(
    world: Callable[..., World],
):
    here = world(settings=QUICK)
    deadly = Sent(post("MARKER this one kills"), b"deadly")
    *before, bad = here.send([*posts(100), deadly])
    after = here.send(posts(100, start=100))
    deaths = die_until_isolated(here)
    verdict = here.verdict()
    print(f"isolated after {deaths} deaths, {verdict.duplicates} repeated")
    assert deaths == 4, "in the open, in a small cycle, twice alone"
    headers = dict(here.dead_of(bad).headers)
    assert headers["tidegate-dlq-class"] == b"crash"
    assert headers["tidegate-dlq-reason"] == b"killed_engine"
    assert int(headers["tidegate-dlq-attempts"] or 0) == deaths + 1
    assert verdict.problems(duplicates=0) == []
    assert (verdict.scored, verdict.dead) == (len(before) + len(after), 1)


def test_neighbours_in_other_partitions_are_not_condemned_with_it(world: Callable[..., World]):
    """They too were alone in the process just before it died, again and again."""
    here = world(settings=QUICK, partitions=3)
    here.send([Sent(post(f"innocent {k}"), partition=k % 3) for k in range(9) if k != 1])
    (bad,) = here.send([Sent(post("MARKER this one kills"), b"deadly", partition=1)])
    here.send([Sent(post(f"innocent {k}"), partition=k % 3) for k in range(9, 18)])
    deaths = die_until_isolated(here)
    verdict = here.verdict()
    print(f"isolated after {deaths} deaths, {verdict.duplicates} repeated")
    assert here.dead_of(bad)
    assert verdict.problems() == []
    assert (verdict.scored, verdict.dead) == (17, 1)


def test_after_a_crash_is_survived_the_next_start_is_free_of_suspicion(world: Callable[..., World]):
    here = world(settings=QUICK)
    here.send(posts(10))
    with here.daemon(env={"TIDEGATE_FAIL": "infer"}) as daemon:
        died(daemon)
    with here.daemon() as daemon:
        here.wait_answered(40, daemon)
        here.wait_committed()
        assert daemon.stop() == 0
    assert {metadata for _, metadata in here.cluster.committed(here.group).values()} == {""}


def test_a_killed_daemon_leaves_no_worker_behind(world: Callable[..., World]):
    here = world()
    with here.daemon() as daemon:
        daemon.wait_ready()
        here.send([Sent(post("with image", image=media(picture(), "image/png")))])
        here.wait_answered(20, daemon)
        daemon.process.kill()
        died(daemon)
