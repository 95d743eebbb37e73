"""The loops that the daemon is compared with; each runs as a process of its own.

`naive` is the loop that people write first: iterate over the consumer, one event at a time through plain ONNX
Runtime on the bundle's own files, send, auto-commit. `bare` is the shortest path from an event to its score
with the daemon's own engine: poll, one event, infer, send and flush. Both decode media in place.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import onnxruntime

# The comparison is with the client as people use it, not with our adapter.
from kafka import KafkaConsumer, KafkaProducer
from numpy.typing import NDArray

from engines.batch import Batch, Example
from engines.bundle import Bundle
from engines.preprocess.audio import AudioLimits, decode_audio
from engines.preprocess.image import ImageLimits, decode_image
from engines.preprocess.text import text_encoder
from service.assembly import engine_of
from service.config import EngineSettings, Limits
from service.record import Record

MODULE: Final = "service.bench.naive"
Model = Callable[[Example], dict[str, Any]]


class Reader:
    """From a record to an example, in place and without any limits of its own."""

    def __init__(self, bundle: Bundle) -> None:
        spec, limits = bundle.preprocess, Limits()
        self._spec, self._text = spec, text_encoder(spec.text)
        self._image = ImageLimits(limits.image_pixels, limits.image_side, limits.image_frames)
        self._audio = AudioLimits(limits.audio_seconds)

    def read(self, record: Record) -> Example:
        """Parse, tokenise, decode."""
        kind = dict(record.headers).get("content-type", b"application/json") or b""
        value = record.value or b""
        if kind.startswith(b"image/"):
            return Example(images=self._images(value))
        if kind.startswith(b"audio/"):
            return Example(audio=self._sounds(value))
        event = json.loads(value)
        example = Example()
        if "text" in event:
            example.text = self._text.encode(event["text"]).channels
        if "image" in event:
            example.images = self._images(base64.b64decode(event["image"]["bytes"]))
        if "audio" in event:
            example.audio = self._sounds(base64.b64decode(event["audio"]["bytes"]))
        return example

    def _images(self, data: bytes) -> list[NDArray[np.uint8]]:
        return list(decode_image(data, self._spec.image, self._image))

    def _sounds(self, data: bytes) -> list[NDArray[np.int16]]:
        return [decode_audio(data, self._spec.audio, self._audio).samples]


class PlainModel:
    """The four graphs on ONNX Runtime as it comes, one event at a time."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._graphs = {
            name: onnxruntime.InferenceSession(
                bundle.read(bundle.graph_name(name, "fp32")), providers=["CPUExecutionProvider"]
            )
            for name in ("text", "image", "audio", "head")
        }
        self._absent = {
            name: np.zeros((1, count, bundle.width), np.float32)
            for name, count in zip(("text", "image", "audio"), bundle.tokens, strict=True)
        }

    def __call__(self, example: Example) -> dict[str, Any]:
        """Sentiment and moderation, uncalibrated."""
        inputs, presence = dict(self._absent), np.zeros((1, 3), np.float32)
        for k, (name, feed) in enumerate(_feeds(example, self._bundle.preprocess.text.channels).items()):
            if feed is not None:
                inputs[name] = self._graphs[name].run(["tokens"], feed)[0]
                presence[0, k] = 1
        head = self._graphs["head"]
        names = self._bundle.labels.names
        asked = ["sentiment", *["moderation"] * bool(names)]  # a head without labels has no such output
        sentiment, *moderation = head.run(asked, inputs | {"presence": presence})
        odds = np.exp(sentiment[0] - sentiment[0].max())
        chances = 1 / (1 + np.exp(-moderation[0][0])) if names else ()
        labels = dict(zip(names, map(float, chances), strict=True))
        return {"sentiment": [float(p) for p in odds / odds.sum()], "moderation": labels}


def _feeds(example: Example, channels: tuple[str, ...]) -> dict[str, dict[str, NDArray[Any]] | None]:
    text, images, audio = example.text, example.images[:1], example.audio[:1]
    return {
        "text": None if text is None else {k: _row(ids) for k, ids in zip(channels, text, strict=True)},
        "image": {"pixels": images[0][None]} if images else None,
        "audio": {
            "samples": audio[0][None].astype(np.float32),
            "lengths": np.array([len(audio[0])], np.int32),
        }
        if audio
        else None,
    }


def _row(ids: NDArray[np.int32]) -> NDArray[np.int32]:
    """A channel that is not for this text is one padding wide."""
    return (ids if len(ids) else np.zeros(1, np.int32))[None]


class EngineModel:
    """The daemon's engine, pinned to the choice that the daemon makes, one event at a time."""

    def __init__(self, bundle: Bundle) -> None:
        self._engine = engine_of(bundle, EngineSettings())

    def __call__(self, example: Example) -> dict[str, Any]:
        """Sentiment and moderation, calibrated."""
        outputs = self._engine.infer(Batch.of([example]))
        labels = dict(zip(self._engine.labels.names, outputs.moderation[0].tolist(), strict=True))
        return {"sentiment": outputs.sentiment[0].tolist(), "moderation": labels}


class Job(NamedTuple):
    """What a loop works on."""

    bootstrap: str
    source: str
    target: str
    bundle: str


def naive(job: Job) -> None:
    """For ever: one event at a time, as the consumer yields them."""
    bundle = Bundle.load(job.bundle)
    reader, model = Reader(bundle), PlainModel(bundle)
    producer = KafkaProducer(bootstrap_servers=job.bootstrap)
    consumer = KafkaConsumer(
        job.source, bootstrap_servers=job.bootstrap, group_id="naive", auto_offset_reset="earliest"
    )
    for message in consumer:
        score = model(reader.read(message))
        producer.send(job.target, key=message.key, value=json.dumps(score).encode())


def bare(job: Job) -> None:
    """For ever: poll, and one event after the other, each flushed."""
    bundle = Bundle.load(job.bundle)
    reader, model = Reader(bundle), EngineModel(bundle)
    producer = KafkaProducer(bootstrap_servers=job.bootstrap, acks="all")
    consumer = KafkaConsumer(
        job.source, bootstrap_servers=job.bootstrap, group_id="bare", auto_offset_reset="earliest"
    )
    while True:
        for records in consumer.poll(timeout_ms=1000).values():
            for record in records:
                score = model(reader.read(record))
                producer.send(job.target, key=record.key, value=json.dumps(score).encode())
                producer.flush()


LOOPS: Final[dict[str, Callable[[Job], None]]] = {"naive": naive, "bare": bare}

if __name__ == "__main__":
    LOOPS[sys.argv[1]](Job(*sys.argv[2:]))
