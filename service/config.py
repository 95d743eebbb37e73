"""One frozen tree of settings: command line > environment (`TIDEGATE_…`, `__` nests) > file > default.

The text under each field is its documentation: `tidegate create` and the JSON Schema print it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

Name = Annotated[str, Field(min_length=1, max_length=249)]
Topic = Annotated[str, Field(min_length=1, max_length=249, pattern=r"^[A-Za-z0-9._-]+$")]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Section(BaseModel):
    """A part of the settings: frozen, and unknown keys are errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True
    )


class Security(Section):
    """How to reach a protected cluster. Passwords come from the environment or a file of their own."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How to talk to the brokers."""
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    """How to log in, with a SASL protocol."""
    username: str | None = None
    """Who logs in."""
    password: SecretStr | None = None
    """Only from the environment: TIDEGATE_KAFKA__SECURITY__PASSWORD."""
    password_file: Path | None = None
    """A file that holds the password and nothing else."""
    ca_file: Path | None = None
    """PEM file of the authorities that sign the brokers' certificates; null: those of the system."""
    cert_file: Path | None = None
    """PEM file of our own certificate, where the brokers ask for one."""
    key_file: Path | None = None
    """PEM file of its private key."""
    key_password: SecretStr | None = None
    """Only from the environment: TIDEGATE_KAFKA__SECURITY__KEY_PASSWORD."""
    key_password_file: Path | None = None
    """A file that holds the private key's password and nothing else."""
    check_hostname: bool = True
    """Whether a broker's certificate must name the host that we called."""


class Kafka(Section):
    """The cluster, and this group's name in it."""

    bootstrap_servers: Annotated[list[str], Field(min_length=1)] = ["localhost:9092"]
    """Brokers to ask first, as host:port; two or three are enough for any cluster."""
    group: Name = "tidegate"
    """The consumer group: replicas of one daemon share it, and with it the partitions."""
    client_id: Name = "tidegate"
    """How the brokers' logs and quotas call us."""
    security: Security = Security()
    consumer: dict[str, Any] = {}
    """More client settings for reading, by their names in kafka-python, for example fetch_max_bytes."""
    producer: dict[str, Any] = {}
    """More client settings for writing, for example compression_type: zstd."""


class Input(Section):
    """Where events come from."""

    topics: Annotated[list[Topic], Field(min_length=1)] | Name = ["tidegate.events"]
    """A list of topics, or one string: a regular expression that starts with ^."""
    start: Literal["earliest", "latest"] = "earliest"
    """Where a new group, and a partition found while running, begins."""
    retention: Literal["stop", "count"] = "stop"
    """When retention has overtaken the committed offset: stop, or count what is lost and go on."""


class Output(Section):
    """Where scores go."""

    topic: Topic = "tidegate.scores"
    """The topic for scores; never one of the inputs."""


class DeadLetter(Section):
    """Where records go that cannot be scored."""

    topic: Topic = "tidegate.deadletters"
    """The topic for dead letters; never one of the inputs, nor the output."""
    mode: Literal["content", "reference"] = "content"
    """Carry the record itself, or only say where it lies."""
    fuse: bool = True
    """Stop, instead of dead-lettering the world, when most of the last 100 records of a partition are bad."""


def _all(value: Any) -> Any:
    """`all` as the environment and `--set` spell a list of one."""
    return "all" if value == ["all"] else value


Devices = Annotated[
    Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] | Literal["all"], BeforeValidator(_all)
]


class EngineSettings(Section):
    """Which backend runs the bundle, at which precision, on which processor and devices."""

    backend: Literal["auto", "onnxruntime", "openvino", "tensorrt", "torch"] = "auto"
    """auto: with a usable GPU tensorrt, else torch on it; without one, what a measurement on this machine
    finds fastest, which is kept."""
    precision: Literal["auto", "fp32", "bf16", "fp16", "fp8", "int8"] = "auto"
    """auto: on a processor, one that the bundle is calibrated for; on a GPU, the fastest that decides as fp32
    does."""
    uncalibrated: Literal["auto", "refuse", "warn"] = "auto"
    """At a precision without calibration: refuse to start, or warn and score with the nearest; auto: refuse,
    but serve a bundle that says of itself that it is not calibrated, with a warning."""
    cpu_fallback: bool = False
    """Whether a GPU engine that fails may be replaced by one on the processor, far slower. Else the daemon
    stays up, is not ready, loses nothing, and tries again until the device works."""
    retry_seconds: Seconds | None = None
    """Where a GPU's memory ran out, or was short at the start, and another engine serves: how long after that
    the better one is tried again, beside it (with plans that are there). Each try doubles it, up to a day;
    null: not before a restart. An hour, 3600, does no harm."""
    devices: Devices = [0]
    """Which GPUs: their numbers, as nvidia-smi lists them, or all."""
    gpu_memory: Annotated[float, Field(gt=0, le=1)] = 0.8
    """The share of a device's memory that the engine may take."""
    plans: Path | None = None
    """The folder of TensorRT plans, for their owner's eyes only; null: in the cache."""
    build: bool = True
    """Whether `run` may build a plan that is not there (minutes); else an engine without its plans is passed
    over, and where none is left `run` says to run `tidegate engine build` first."""
    threads: Annotated[int, Field(ge=0)] = 0
    """Threads for inference; 0: all cores."""
    tokens: Annotated[int, Field(ge=64)] | None = None
    """Padded text tokens in one micro-batch; null: what suits the backend, which on a processor is 4096."""
    image_rows: Count | None = None
    """Images in one micro-batch; null: what suits the backend, which on a processor is 32."""
    audio_seconds: Seconds | None = None
    """Seconds of sound in one micro-batch; null: what suits the backend, which on a processor is 60."""
    contributions: bool = True
    """Whether scores say which modality decided (costs a few runs of the small head)."""
    spans: bool = False
    """Whether scores say which words flagged a text (costs a run of the model without each of its words)."""
    spans_words: Annotated[int, Field(ge=1, le=128)] = 32
    """How many words of a text are left out in turn, at most; of longer texts, runs of neighbouring words."""


class Limits(Section):
    """What one record may cost, checked before the expensive step. Sizes are bytes."""

    record_bytes: Count = 16 << 20
    """Larger records become dead letters by reference."""
    text_chars: Count = 20_000
    """Longer text is cut and reported as truncated."""
    media_items: Annotated[int, Field(ge=1, le=8)] = 8
    """Images and sounds in one event."""
    image_bytes: Count = 10 << 20
    """One encoded image."""
    image_pixels: Count = 40_000_000
    """Width times height, read from the header."""
    image_side: Count = 16_384
    """Width or height, in pixels."""
    image_frames: Count = 4
    """Frames taken of an animation, from its start."""
    audio_bytes: Count = 10 << 20
    """One encoded sound."""
    audio_seconds: Seconds = 600.0
    """Longer sounds fail; sounds over the model's window are cut and reported as truncated."""
    decode_seconds: Seconds = 5.0
    """Time to decode one item."""
    decode_memory: Annotated[int, Field(ge=64 << 20)] = 1 << 30
    """Memory that a decoding worker may hold."""
    decode_workers: Annotated[int, Field(ge=0)] = 0
    """Processes that decode media; 0: one for each core, at most 8."""
    event_age: Seconds | None = None
    """Seconds after which an event is too old; null: never."""
    event_age_action: Literal["score", "deadletter", "drop"] = "score"
    """What to do with an event that is too old."""
    cycle_records: Count = 4096
    """Records that are scored, published and committed together, at most."""
    cycle_bytes: Count = 32 << 20
    """Bytes of one cycle, at most (one record larger than this makes a cycle of its own)."""
    cycle_seconds: Seconds = 1.0
    """Expected work in one cycle, at most."""
    buffer_records: Count = 20_000
    """Records polled and not yet in a cycle before reading pauses."""
    buffer_bytes: Count = 96 << 20
    """Bytes polled and not yet in a cycle before reading pauses."""
    drain_seconds: Seconds = 10.0
    """How long a rebalance may wait for work under way."""
    grace_seconds: Seconds = 25.0
    """How long SIGTERM may wait for work under way; give Kubernetes a little more."""


class Http(Section):
    """Probes (/livez, /readyz, /startupz) and /metrics."""

    host: Name = "127.0.0.1"
    """Loopback by default; in a container, 0.0.0.0."""
    port: Annotated[int, Field(ge=0, le=65535)] = 9464
    """0 takes a free port."""


class Log(Section):
    """How the daemon talks to its operator, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe line that is written."""
    format: Literal["auto", "human", "json"] = "auto"
    """auto: human on a terminal, JSON lines otherwise."""


class Settings(Section):
    """Everything `tidegate run` reads."""

    kafka: Kafka = Kafka()
    input: Input = Input()
    output: Output = Output()
    deadletter: DeadLetter = DeadLetter()
    delivery: Literal["at_least_once", "exactly_once"] = "at_least_once"
    """at_least_once: a fault may repeat scores, never lose one. exactly_once is not built yet."""
    bundle: Name = "starter"
    """The model: a folder, or the name of a bundle that ships with Tidegate."""
    engine: EngineSettings = EngineSettings()
    policy: Path | None = None
    """A policy file; null: the built-in one, which `tidegate create policy` prints to start from."""
    limits: Limits = Limits()
    http: Http = Http()
    log: Log = Log()
