"""`tidegate demo`: everything for real on this machine, from sample events to a live table of scores."""

from __future__ import annotations

import logging
import tempfile
import time
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from service.cli.console import count, json_option, say, teach
from service.cli.interrupts import Interrupts
from service.errors import InternalError

if TYPE_CHECKING:
    from service.cli.demo_daemon import Daemon
    from service.cli.demo_feed import Feed
    from service.cli.demo_view import View
    from service.config import Settings
    from service.kafka.follow import Follower

PARTITIONS: Final = 3
QUIET_SECONDS: Final = 3.0
PATIENCE_SECONDS: Final = 120.0
FRAME_SECONDS: Final = 0.25


@click.command(
    help=teach(
        "Watch Tidegate work: starts a real Apache Kafka and the daemon on this machine, produces sample "
        "posts, pictures and sounds (a few of them broken), and shows what comes out. Ctrl-C stops and "
        "removes everything.\n\nNeeds Java 17 and Maven; the first time, 43 MB of jars are fetched.",
        ("tidegate demo", "a live table, until Ctrl-C"),
        ("tidegate demo --events 40", "stop by itself after 40 events"),
        ("tidegate demo --events 40 --json", "one score a line, then a summary"),
    )
)
@click.option(
    "--events", type=click.IntRange(1), metavar="N", help="Stop after N events, broken ones included."
)
@click.option(
    "--rate", type=click.FloatRange(0.1, 1000), default=4.0, show_default=True, help="Events per second."
)
@click.option(
    "--bundle", default="starter", show_default=True, metavar="NAME|FOLDER", help="The model bundle."
)
@json_option
def demo(events: int | None, rate: float, bundle: str, as_json: bool) -> None:
    """Run the demo; Ctrl-C ends it in good order, with exit code 0."""
    from service.cli.demo_view import choose
    from service.kafka.quiet import quiet_client

    quiet_client()
    # A client that is cut short by Ctrl-C complains; what really fails ends the demo with its reason.
    logging.getLogger("service.kafka").setLevel(logging.CRITICAL)
    view = choose(as_json)
    with Interrupts() as interrupts:
        try:
            with ExitStack() as stack:
                Demo(view, stack, interrupts).play(bundle, events, rate)
        except KeyboardInterrupt:
            say("Stopped; nothing is left behind.")


class Demo:
    """The parts in the order of their start; the stack ends them in the opposite one."""

    def __init__(self, view: View, stack: ExitStack, interrupts: Interrupts) -> None:

        from service.cli.demo_tally import Tally

        self._view, self._stack, self._interrupts, self._tally = view, stack, interrupts, Tally()

    def play(self, bundle: str, events: int | None, rate: float) -> None:
        """Start everything, show what comes out, and say what it was."""
        from service.kafka.follow import Follower

        settings = self._broker(bundle)
        daemon = self._daemon(settings)
        feed = self._feed(settings, events, rate)
        facts = {
            "metrics": f"{daemon.address}/metrics",
            "broker": settings.kafka.bootstrap_servers[0],
            "topics": f"{settings.input.topics[0]} → {settings.output.topic}, {settings.deadletter.topic}",
        }
        results = [settings.output.topic, settings.deadletter.topic]
        follower = self._stack.enter_context(Follower(settings.kafka, results))
        self._stack.callback(self._view.end, self._tally)
        with self._view.begin(self._tally, facts):
            feed.start()
            self._watch(follower, feed, daemon, events)

    def _broker(self, bundle: str) -> Settings:
        """Fetch and start Kafka, make the topics; the settings that reach them."""
        from service.config import Kafka, Settings
        from service.kafka.admin import create_topics
        from service.kafka.broker import EmbeddedBroker
        from service.kafka.jars import KAFKA_VERSION, cache_home, kafka_jars

        if not (cache_home() / f"kafka-{KAFKA_VERSION}").is_dir():
            with self._view.step(f"Apache Kafka {KAFKA_VERSION}: fetching its jars (43 MB, once)"):
                kafka_jars()
        began = time.monotonic()
        with self._view.step(f"Apache Kafka {KAFKA_VERSION}: starting"):
            broker = self._stack.enter_context(EmbeddedBroker())
            settings = Settings(kafka=Kafka(bootstrap_servers=[broker.bootstrap]), bundle=bundle)
            create_topics(settings.kafka, settings.input.topics, partitions=PARTITIONS)
            create_topics(settings.kafka, [settings.output.topic], partitions=PARTITIONS)
            create_topics(settings.kafka, [settings.deadletter.topic])
        seconds = time.monotonic() - began
        self._view.done(f"Apache Kafka {KAFKA_VERSION} on {broker.bootstrap} ({seconds:.1f} s)")
        return settings

    def _daemon(self, settings: Settings) -> Daemon:
        """Start `tidegate run` and wait until it serves."""
        from service.cli.demo_daemon import Daemon

        began = time.monotonic()
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="tidegate-demo-"))
        daemon = Daemon(Path(folder), settings, self._interrupts.held)
        self._stack.callback(daemon.stop)
        with self._view.step("tidegate run: loading the model, measuring engines the first time"):
            daemon.start()
            daemon.wait_ready()
        self._view.done(f"tidegate run, ready at {daemon.address}/readyz ({time.monotonic() - began:.1f} s)")
        return daemon

    def _feed(self, settings: Settings, events: int | None, rate: float) -> Feed:
        from service.cli.demo_feed import Feed
        from service.sampling import stream

        feed = Feed(
            settings.kafka, settings.input.topics[0], islice(stream(), events), rate, self._tally.send
        )
        self._stack.callback(feed.close)
        return feed

    def _watch(self, follower: Follower, feed: Feed, daemon: Daemon, events: int | None) -> None:
        """Show outcomes until every event is accounted for; InternalError where that stops coming."""
        tally, last = self._tally, time.monotonic()
        while events is None or tally.accounted < events:
            for record in follower.poll(FRAME_SECONDS):
                if outcome := tally.take(record):
                    self._view.show(outcome)
                    last = time.monotonic()
            self._view.refresh()
            daemon.check()
            if feed.failure is not None:
                raise feed.failure
            if time.monotonic() - last > QUIET_SECONDS:
                tally.dropped = daemon.dropped()
            if time.monotonic() - last > PATIENCE_SECONDS:
                missing = count(tally.sent - tally.accounted, "event")
                raise InternalError(f"no outcome for {missing}", why=daemon.log_tail())
