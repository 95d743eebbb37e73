"""A feed that is broken as a whole stops the intake instead of becoming a hundred dead letters."""

from __future__ import annotations

from collections.abc import Callable

from tests.cluster import Sent, until
from tests.harness import World, posts


def test_a_hundred_broken_records_trip_it_before_that_cycle_is_published_and_an_operator_lets_them_pass(
    world: Callable[..., World],
):
    here = world()
    here.send(posts(20))
    with here.daemon() as daemon:
        here.wait_answered(40, daemon)
        here.wait_committed()
        before = here.committed()
        here.send([Sent(b"{broken %d" % k) for k in range(100)])
        until(20, "the fuse", lambda: "fuse" in (daemon.reasons() or {}))
        assert "--fuse-accept" in (daemon.reasons() or {})["fuse"]
        assert daemon.live
        assert not daemon.ready
        assert "tidegate_deadletter_fuse_open 1.0" in daemon.get("/metrics")[1]
        here.send(posts(20, start=20))
        assert daemon.stop() == 0
    assert here.cluster.read(here.dead) == []
    assert here.committed() == before

    for _ in range(3):
        with here.daemon() as daemon:
            until(40, "the fuse again", lambda daemon=daemon: "fuse" in (daemon.reasons() or {}))
            assert daemon.stop() == 0
    assert here.cluster.read(here.dead) == [], (
        "stopping it again and again is no crash, nobody gets condemned"
    )
    assert {metadata for _, metadata in here.cluster.committed(here.group).values()} == {""}

    with here.daemon("--fuse-accept", "100") as daemon:
        here.wait_answered(40, daemon)
        daemon.wait_ready()
        assert daemon.stop() == 0
    verdict = here.verdict()
    assert verdict.problems(duplicates=0) == []
    assert (verdict.scored, verdict.dead) == (40, 100)
