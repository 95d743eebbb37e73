"""Records in: the consumer group member, its rebalances, its commits and its recoveries."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from kafka.errors import (
    AuthorizationError,
    FencedInstanceIdError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    RetriableError,
)
from kafka.structs import TopicPartition

from service.config import Input, Kafka
from service.errors import ConfigError, InternalError, TidegateError
from service.kafka.checkpoint import Checkpoint, Commit, Marker
from service.kafka.commits import NOT_NOW
from service.kafka.hooks import Hooks, Silent, Start
from service.kafka.member import Member
from service.kafka.obstacle import Obstacle
from service.kafka.places import Place, place, refuse_gap
from service.kafka.sampler import Sampler
from service.record import Partition, Run

__all__ = ["Hooks", "Silent", "Source", "Start"]
log = logging.getLogger(__name__)
Batches = Mapping[TopicPartition, Sequence[Any]]

POLL_SECONDS = 1.0  # shorter polls make a join more likely to stick
PAUSED_POLL_SECONDS = 0.2  # so that a resume is quick
RETRY_SECONDS = 0.2
REVIVE_SECONDS = (0.5, 10.0)


class Source:
    """One member of the group; all but `lag`, `reason`, `mark` and `commit_soon` belong to one thread."""

    def __init__(
        self,
        kafka: Kafka,
        input_: Input,
        checkpoint: Checkpoint,
        hooks: Hooks,
        *,
        drain_seconds: float = 10.0,
        stuck_seconds: float | None = None,
    ) -> None:
        """`stuck_seconds`: how long a rebalance may last before the watchdog joins anew."""
        self._kafka, self._input, self._checkpoint, self._hooks = kafka, input_, checkpoint, hooks
        self._drain_seconds = drain_seconds
        self._stuck_seconds = stuck_seconds or drain_seconds + 20.0
        self._member: Member | None = None
        self._sampler = Sampler(checkpoint)
        self._pausing = False
        self._ever_joined = False
        self._unstable_since: float | None = None
        self._revive_at, self._revive_wait = 0.0, REVIVE_SECONDS[0]
        self._broken: str | None = None
        self._obstacle = Obstacle()
        self._latest: dict[Partition, int] = {}

    def open(self) -> None:
        """Connect and subscribe; raises ConfigError (78) or UnreachableError (69) within 15 s."""
        self._member = self._join()

    def poll(self, timeout: float | None = None) -> list[Run]:
        """Wait up to `timeout` seconds (default 1, or 0.2 while paused) for records; commits what is due.

        Handles rebalances, outages and a broken consumer by itself. Raises DataError where retention overtook
        the group and `input.retention` is `stop`; ConfigError where rights are missing at the start.
        """
        member = self._member or self._revive()
        if member is None:
            return []
        if timeout is None:
            timeout = PAUSED_POLL_SECONDS if self._pausing else POLL_SECONDS
        if self._pausing:
            self._hold(member)
        batches = self._fetch(member, timeout)
        if self._member is not member:
            return []
        for topic in member.changed():
            batches = self._start_anew(member, topic, batches)
        self._resolve(member)
        runs = self._runs(batches)
        member.committer.soon()
        self._sampler.took(runs)
        self._sampler.sample(member)
        self._watch(member)
        if member.stable and not member.rebalances.pending:
            self._obstacle.look(member.consumer, self._checkpoint.owned())
        return runs

    def pause(self) -> None:
        """Take no more records until `resume`; new partitions come paused too."""
        self._pausing = True
        if self._member is not None:
            self._hold(self._member)

    def resume(self) -> None:
        """Take records again."""
        self._pausing = False
        if self._member is not None:
            with self._member.rebalances.lock:
                held = self._member.rebalances.pending
                consumer = self._member.consumer
                _each(consumer.resume, [each for each in consumer.paused() if Partition(*each) not in held])

    @property
    def paused(self) -> int:
        """How many partitions are paused."""
        return 0 if self._member is None else len(self._member.consumer.paused())

    def commit_soon(self) -> None:
        """Commit what is acknowledged without waiting, from any thread; `poll` does so too, each time."""
        member = self._member
        if member is not None:
            member.committer.soon()

    def mark(self, partition: Partition, offset: int, marker: Marker, timeout: float = 5.0) -> bool:
        """Commit this position with this marker now; False if the brokers did not take it in time."""
        return self.mark_all({partition: (offset, marker)}, timeout)

    def mark_all(self, marks: Mapping[Partition, tuple[int, Marker]], timeout: float = 5.0) -> bool:
        """`mark` for many partitions by one request, with all that is acknowledged."""
        member = self._member
        if not marks:
            return True
        # Should the marked try crash, it must not look as if what came just before it had crashed too.
        commits = self._checkpoint.to_commit()
        commits |= {
            each: Commit(offset, marker.encode(), self._checkpoint.epoch(each))
            for each, (offset, marker) in marks.items()
        }
        return member is not None and member.committer.now(commits, timeout)

    def commit(self, timeout: float = 5.0) -> bool:
        """Commit everything acknowledged, wait for it; False if the brokers did not take it in time."""
        commits = self._checkpoint.to_settle(self._checkpoint.owned())
        member = self._member
        return not commits or (member is not None and member.committer.now(commits, timeout))

    def lag(self) -> dict[Partition, int]:
        """Records from the last acknowledged position to the end of each owned partition, seconds old."""
        return self._sampler.lag()

    @property
    def reason(self) -> str | None:
        """Why it is not ready (`not_assigned`, `rebalancing`, `broker_unreachable`, …), None while it is."""
        member = self._member
        if member is None:
            return self._obstacle.reason or self._broken or "not_assigned"
        if self._sampler.failing:
            return "broker_unreachable"
        if self._obstacle.reason is not None:
            return self._obstacle.reason
        if not self._ever_joined:
            return "not_assigned"
        return None if member.stable and not member.rebalances.pending else "rebalancing"

    def close(self, timeout: float = 3.0) -> None:
        """Commit what is acknowledged, leave the group; what is still in flight is given up."""
        self._checkpoint.closing(self._checkpoint.owned())
        if self._member is not None:
            self.commit(timeout=5.0)
            # The listener has nothing left to drain or to commit.
            self._checkpoint.fence(self._checkpoint.owned())
            self._member.close(timeout)
            self._member = None

    def _hold(self, member: Member) -> None:
        consumer = member.consumer
        _each(consumer.pause, consumer.assignment() - consumer.paused())

    def _join(self) -> Member:
        return Member(self._kafka, self._input, self._checkpoint, self._hooks, self._drain_seconds)

    def _fetch(self, member: Member, timeout: float) -> Batches:
        try:
            batches: Batches = member.consumer.poll(timeout_ms=int(timeout * 1000))
            if batches and self._obstacle.reason is None:
                self._revive_wait = REVIVE_SECONDS[0]
            return batches
        except NoOffsetForPartitionError:
            return {}  # a partition the group knows nothing about: resolved next
        except OffsetOutOfRangeError as error:
            self._reposition(member, error)
        except FencedInstanceIdError as error:
            raise InternalError("Another consumer took our group_instance_id", why=str(error)) from error
        except AuthorizationError as error:
            self._denied(member, error)
        except RetriableError:
            time.sleep(RETRY_SECONDS)
        except Exception as error:  # noqa: BLE001 - the client passes on whatever its decoders raise
            self._obstacle.met(member.consumer, error)
            self._replace(member, error)
        return {}

    def _denied(self, member: Member, error: AuthorizationError) -> None:
        if not self._ever_joined:
            raise ConfigError(
                "The cluster does not let us read",
                where="input.topics, kafka.group",
                why=f"{type(error).__name__}: {error}",
                remedy="Grant READ and DESCRIBE on the topics and READ on the group to this user",
            ) from error
        self._replace(member, error)

    def _runs(self, batches: Batches) -> list[Run]:
        runs = []
        for tp, records in batches.items():
            partition = Partition(tp.topic, tp.partition)
            epoch = self._checkpoint.epoch(partition)
            if epoch is not None:  # else it is on its way to another member
                runs.append(Run(partition, epoch, records))
        return runs

    def _resolve(self, member: Member) -> None:
        with member.rebalances.lock:
            pending = set(member.rebalances.pending)
        if not self._ever_joined:
            self._ever_joined = member.rebalances.joined or member.stable
        if not pending:
            return
        try:
            first, end = member.ranges(pending)
            committed = member.committed(pending)
        except KafkaError as error:
            log.warning("The start of %d partitions is not known yet: %s", len(pending), error)
            time.sleep(RETRY_SECONDS)
            return
        member.remember({each.topic for each in pending})
        found = {}
        for each in pending:
            known = committed.get(TopicPartition(*each))
            found[each] = self._place(each, known, first[TopicPartition(*each)], end[TopicPartition(*each)])
        starts = {}
        for each, at in self._noted(found).items():
            start = self._begin(member, each, *at)
            if start is not None:
                starts[each] = start
        if starts:
            self._hooks.assigned(starts)
            self._release(member, starts)

    def _place(self, partition: Partition, known: Any, first: int, end: int) -> tuple[Commit | None, Place]:
        commit = (
            None if known is None or known.offset < 0 else Commit(int(known.offset), known.metadata or "")
        )
        position = self._latest.get(partition) if commit is None else commit.offset
        found = place(position, first, end, self._input.start)
        if found.gone and self._input.retention == "stop":
            assert position is not None
            raise refuse_gap(partition, position, first)
        if commit is None and self._input.start == "latest":
            self._latest[partition] = found.offset
        return commit, found

    def _noted(
        self, found: Mapping[Partition, tuple[Commit | None, Place]]
    ) -> Mapping[Partition, tuple[Commit | None, Place]]:
        """Those that may begin: the group has where, else a crash would count a gap twice, or start later."""
        marks = {
            each: (at.offset, Marker())
            for each, (known, at) in found.items()
            if (self._input.start == "latest" if known is None else at.offset != known.offset)
        }
        if self.mark_all(marks):
            return found
        time.sleep(RETRY_SECONDS)
        return {each: at for each, at in found.items() if each not in marks}

    def _begin(self, member: Member, partition: Partition, known: Commit | None, at: Place) -> Start | None:
        with member.rebalances.lock:
            if partition not in member.rebalances.pending:
                return None
            self._checkpoint.opened({partition: at.offset})
            member.consumer.seek(TopicPartition(*partition), at.offset)
        self._latest.pop(partition, None)
        before = ""
        if known is not None or self._input.start == "latest":
            there = known if known is not None and known.offset == at.offset else Commit(at.offset)
            before = self._checkpoint.assigned(partition, there)
        if at.gone:
            self._hooks.retention_gap(partition, at.gone)
        if at.recreated:
            self._hooks.recreated(partition)
        epoch = self._checkpoint.epoch(partition)
        return None if epoch is None else Start(epoch, at.offset, Marker.decode(before), known is not None)

    def _release(self, member: Member, starts: Mapping[Partition, Start]) -> None:
        with member.rebalances.lock:
            ready = [each for each in starts if each in member.rebalances.pending]
            member.rebalances.pending.difference_update(ready)
            if not self._pausing:
                _each(member.consumer.resume, [TopicPartition(*each) for each in ready])

    def _reposition(self, member: Member, error: OffsetOutOfRangeError) -> None:
        positions: Mapping[TopicPartition, int] = error.args[0]
        partitions = [Partition(*tp) for tp in positions]
        try:
            first, end = member.ranges(partitions)
        except KafkaError:
            time.sleep(RETRY_SECONDS)
            return
        for tp, position in positions.items():
            partition = Partition(*tp)
            found = place(position, first[tp], end[tp], self._input.start)
            if found.gone and self._input.retention == "stop":
                raise refuse_gap(partition, position, first[tp])
            if found.gone:
                self._hooks.retention_gap(partition, found.gone)
            if found.recreated:
                self._checkpoint.rewound(partition, found.offset)
                self._hooks.recreated(partition)
            _seek(member, tp, found.offset)

    def _start_anew(self, member: Member, topic: str, batches: Batches) -> Batches:
        log.warning("The topic %s was deleted and made anew: reading it from its beginning", topic)
        for tp in member.consumer.assignment():
            partition = Partition(*tp)
            if tp.topic == topic and self._checkpoint.epoch(partition) is not None:
                self._checkpoint.rewound(partition, 0)
                _seek(member, tp, 0)
                self._hooks.recreated(partition)
        return {tp: records for tp, records in batches.items() if tp.topic != topic}

    def _watch(self, member: Member) -> None:
        now = time.monotonic()
        if member.stable or self._sampler.failing:
            self._unstable_since = None
        elif self._unstable_since is None:
            self._unstable_since = now
        elif now - self._unstable_since > self._stuck_seconds:
            log.warning("No stable group for %.0f s: leaving it and joining anew", self._stuck_seconds)
            self._unstable_since = None
            try:
                member.resubscribe()
            except (TidegateError, *NOT_NOW) as error:
                self._replace(member, error)
            else:
                self._hooks.recovered("stuck")

    def _replace(self, member: Member, error: Exception) -> None:
        log.warning("The consumer is broken and will be replaced: %s: %s", type(error).__name__, error)
        self._broken = "consumer_broken"
        self._member = None
        # Closing revokes: what is in flight is drained, committed and fenced in the listener.
        member.close(self._drain_seconds)
        self._checkpoint.fence(self._checkpoint.owned())
        self._revive_at = time.monotonic() + self._revive_wait
        self._revive_wait = min(self._revive_wait * 2, REVIVE_SECONDS[1])

    def _revive(self) -> Member | None:
        left = self._revive_at - time.monotonic()
        if left > 0:
            time.sleep(min(left, POLL_SECONDS))
            return None
        try:
            self._member = self._join()
        except (TidegateError, *NOT_NOW) as error:
            log.warning("No new consumer yet: %s", error)
            self._broken = "broker_unreachable"
            self._revive_at = time.monotonic() + self._revive_wait
            return None
        self._hooks.recovered("replaced")
        return self._member


def _each(act: Callable[[TopicPartition], None], partitions: Collection[TopicPartition]) -> None:
    for tp in partitions:
        # A rebalance on the IO thread may have taken it since we looked.
        with suppress(KeyError):
            act(tp)


def _seek(member: Member, tp: TopicPartition, offset: int) -> None:
    with suppress(KeyError, ValueError):  # as above; seek says it with a ValueError
        member.consumer.seek(tp, offset)
