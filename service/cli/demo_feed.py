"""The demo's producer: sample events at a steady, human pace."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from service.config import Kafka
from service.kafka.sink import Abandoned, Sink
from service.record import Outgoing, Partition
from service.sampling import Ready


class Feed:
    """Publishes in a thread of its own until `most` events are out or it is closed."""

    def __init__(
        self, kafka: Kafka, topic: str, events: Iterable[Ready], rate: float, note: Callable[[Ready], None]
    ) -> None:
        """`note` hears of each event just before it is sent, on this thread."""
        self._sink, self._topic, self._events = Sink(kafka), topic, events
        self._pause, self._note = 1 / rate, note
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Stop, wherever it is."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(5)
        self._sink.close()

    def _run(self) -> None:
        try:
            for ready in self._events:
                began = time.monotonic()
                self._note(ready)
                self._sink.publish([self._outgoing(ready)], stopping=self._stop.is_set)
                if self._stop.wait(max(0.0, began + self._pause - time.monotonic())):
                    return
        except Abandoned:
            return
        except BaseException as error:  # noqa: BLE001 - a thread must not die in silence; the demo raises this
            self.failure = error

    def _outgoing(self, ready: Ready) -> Outgoing:
        return Outgoing(self._topic, ready.key, ready.value, ready.headers, Partition(self._topic, 0), 0)
