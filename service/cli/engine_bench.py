"""`tidegate engine bench`: rows a second by bucket and precision, beside the device's serial roofline."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.cli.bundle_options import bundle_argument
from service.cli.console import bars, emit, json_option, say, settings_options, table, teach
from service.cli.engine_options import (
    TOWERS,
    backend_option,
    device_option,
    pairs_of,
    precision_option,
    reaching,
    settings_of,
)
from service.errors import ConfigError, Exit

if TYPE_CHECKING:
    from engines.bundle import Bundle
    from engines.rates import Rates
    from engines.throughput import Speed
    from service.config import EngineSettings


@click.command(
    help=teach(
        "Measure a bundle's graphs on an engine, without Kafka and without decoding.\n\n"
        "The roofline is what the device could do at best: the work of each graph at the matrix and copy "
        "rates that are measured just before. Several GPUs are measured one by one. Measure on a machine "
        "that does nothing else.",
        ("tidegate engine bench starter", "every precision of the engine that `auto` takes"),
        ("tidegate engine bench mine --precision fp16 --tower text", "one of them, one graph"),
        ("tidegate engine bench mine --json", "one JSON line a bucket, for machines"),
    )
)
@bundle_argument
@backend_option
@precision_option
@device_option
@click.option(
    "--tower", "towers", multiple=True, type=click.Choice(TOWERS), help="Repeatable. [default: all]"
)
@click.option("--seconds", type=click.FloatRange(min=0.01), default=0.5, show_default=True, metavar="S",
              help="For each bucket.")  # fmt: skip
@settings_options
@json_option
def bench(
    source: str, backend: str, precisions: tuple[str, ...], devices: tuple[int, ...],
    towers: tuple[str, ...], seconds: float, config: Path | None, overrides: tuple[str, ...], as_json: bool,
) -> int:  # fmt: skip
    """Print a table for each engine and precision."""
    from engines.bundle import Bundle

    if find_spec("onnx") is None:
        raise ConfigError("The graphs cannot be read", why="onnx is not installed", remedy="pip install onnx")
    bundle = Bundle.load(source)
    settings = settings_of(config, overrides, devices)
    for name, precision in pairs_of(bundle, backend, precisions, settings):
        for own, device in _alone(bundle, name, settings):
            rates = _Rates(name, own, seconds)
            rows = []
            for tower in towers or TOWERS:
                with reaching():
                    for speed in _speeds(bundle, tower, name, precision, own, seconds, rates, as_json):
                        if as_json:
                            emit(_document(bundle, name, device, tower, precision, speed))
                        rows.append(_row(tower, speed))
            if not as_json:
                say(f"{bundle.name} on {name}, {precision}" + ("" if device is None else f", GPU {device}"))
                table(("graph", "rows", "sizes", "ms alone", "rows/s", "roofline", "of it"), rows)
    return Exit.OK


def _alone(
    bundle: Bundle, backend: str, settings: EngineSettings
) -> Iterator[tuple[EngineSettings, int | None]]:
    """The settings for each GPU by itself, and its number; for the processor as they are."""
    from engines.sessions.choose import BACKENDS
    from service.assembly import ladder_of

    if not BACKENDS[backend].on_gpu():
        yield settings, None
        return
    for device in ladder_of(bundle, settings).wanted.devices:
        yield settings.model_copy(update={"devices": [device]}), device


class _Rates:
    """The rates of the device that a backend computes on, measured once for each precision."""

    def __init__(self, backend: str, settings: EngineSettings, seconds: float) -> None:
        self._backend, self._settings, self._seconds = backend, settings, seconds
        self._found: dict[str, Rates | None] = {}

    def at(self, precision: str) -> Rates | None:
        """None, and a note of why, where they cannot be measured."""
        if precision not in self._found:
            self._found[precision] = self._measured(precision)
        return self._found[precision]

    def _measured(self, precision: str) -> Rates | None:
        from engines.errors import EngineError
        from engines.rates import gpu_rates, processor_rates
        from engines.sessions.choose import BACKENDS
        from engines.sessions.host import usable_cores

        settings = self._settings
        try:
            if BACKENDS[self._backend].on_gpu():
                assert settings.devices != "all"
                return gpu_rates(precision, settings.devices[0], self._seconds)
            return processor_rates(precision, settings.threads or usable_cores(), self._seconds)
        except EngineError as error:
            say(f"note: no roofline at {precision}: {error}")
            return None


def _computed(bundle: Bundle, backend: str, tower: str, precision: str) -> str:
    """What a graph is computed at: fp32 for the head, and on TensorRT for towers that were left at it."""
    from engines.tensorrt.build import graph_of

    if backend == "tensorrt":
        return graph_of(bundle, tower, precision)[1]
    own = precision in bundle.manifest["graphs"][tower]
    return precision if own or tower != "head" else "fp32"


def _speeds(
    bundle: Bundle, tower: str, backend: str, precision: str, settings: EngineSettings, seconds: float,
    rates: _Rates, quiet: bool,
) -> Iterator[Speed]:  # fmt: skip
    from dataclasses import replace

    from engines.lanes import EACH, lanes_for
    from engines.sessions.base import Terms
    from engines.sessions.choose import BACKENDS
    from engines.sessions.host import usable_cores
    from engines.tensorrt.buckets import buckets_of
    from engines.tensorrt.signature import Signature
    from engines.throughput import Floor, inputs_of, speed
    from service.assembly import ladder_of

    wanted, on_gpu = ladder_of(bundle, settings).wanted, BACKENDS[backend].on_gpu()
    threads, budget = settings.threads or usable_cores(), wanted.gpu if on_gpu else wanted.host
    assert budget is not None
    graph = bundle.read(bundle.graph_name(tower))
    signature = Signature.of(graph)
    at = _computed(bundle, backend, tower, precision)
    floor, known = Floor(graph, signature, bundle.preprocess, at), rates.at(at)
    lanes = EACH if on_gpu else lanes_for(bundle.graph_bytes(precision), threads)
    with bars() as show:
        terms = Terms(
            threads, lanes, budget, tuple(wanted.devices), None if quiet else show, wanted.gpu_memory,
            wanted.plans,
        )  # fmt: skip
        session = BACKENDS[backend].open(bundle, tower, precision, terms)
    try:
        for bucket in buckets_of(tower, signature, bundle.preprocess, budget):
            inputs = inputs_of(signature, bucket, bundle.preprocess)
            found = speed(session, inputs, bucket, lanes, seconds)
            best = None if known is None else floor.rows_per_second(bucket, known)
            yield replace(found, roofline=best)
    finally:
        session.close()


def _document(
    bundle: Bundle, backend: str, device: int | None, tower: str, precision: str, speed: Speed
) -> dict[str, Any]:
    return {
        "schema": "tidegate.engine-bench/1", "bundle": bundle.name, "engine": backend, "device": device,
        "graph": tower,
        "precision": precision, "rows": speed.bucket.rows, "sizes": dict(speed.bucket.axes),
        "seconds": speed.seconds, "rows_per_second": speed.rows_per_second,
        "roofline_rows_per_second": speed.roofline, "of_roofline": speed.of_roofline,
    }  # fmt: skip


def _row(tower: str, speed: Speed) -> tuple[str, ...]:
    sizes = " × ".join(str(size) for _, size in speed.bucket.axes)
    best = speed.roofline
    ratio = speed.of_roofline
    return (
        tower, str(speed.bucket.rows), sizes or "–", f"{speed.seconds * 1e3:.2f}",
        f"{speed.rows_per_second:,.0f}", "–" if best is None else f"{best:,.0f}",
        "–" if ratio is None else f"{ratio:.2f}",
    )  # fmt: skip
