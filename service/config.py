"""One frozen tree of settings: command line > environment (`TIDEGATE_…`, `__` nests) > file > default."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class Section(BaseModel):
    """A part of the settings: frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Security(Section):
    """How to reach a protected cluster. Secrets come from the environment or a file, never from here."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    username: str | None = None
    password: SecretStr | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    key_password: SecretStr | None = None
    key_password_file: Path | None = None
    check_hostname: bool = True


class Kafka(Section):
    """The cluster and this group's name in it; `consumer` and `producer` take any client setting."""

    bootstrap_servers: list[str] = ["localhost:9092"]
    group: str = "tidegate"
    client_id: str = "tidegate"
    security: Security = Security()
    consumer: dict[str, Any] = {}
    producer: dict[str, Any] = {}


class Input(Section):
    """Where events come from."""

    topics: list[str] | str = ["tidegate.events"]  # a string is a regular expression
    start: Literal["earliest", "latest"] = "earliest"
    retention: Literal["stop", "count"] = "stop"


class Output(Section):
    """Where scores go."""

    topic: str = "tidegate.scores"


class DeadLetter(Section):
    """Where records go that cannot be scored."""

    topic: str = "tidegate.deadletters"
    mode: Literal["content", "reference"] = "content"
    fuse: bool = True


class EngineSettings(Section):
    """Which backend runs the bundle, at which precision, on how many threads."""

    backend: Literal["auto", "onnxruntime", "openvino"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    threads: Annotated[int, Field(ge=0)] = 0  # 0: all cores
    tokens: Annotated[int, Field(ge=64)] = 4096  # padded tokens of one micro-batch
    image_rows: Annotated[int, Field(ge=1)] = 32
    audio_seconds: Annotated[float, Field(gt=0)] = 60.0
    contributions: bool = True


class Limits(Section):
    """What one record may cost, checked before the expensive step."""

    record_bytes: Annotated[int, Field(ge=1)] = 16 << 20
    text_chars: Annotated[int, Field(ge=1)] = 20_000  # more is cut and reported as `truncated`
    media_items: Annotated[int, Field(ge=1, le=8)] = 8
    image_bytes: Annotated[int, Field(ge=1)] = 10 << 20
    image_pixels: Annotated[int, Field(ge=1)] = 40_000_000
    image_side: Annotated[int, Field(ge=1)] = 16_384
    image_frames: Annotated[int, Field(ge=1)] = 4  # of an animation, from its start
    audio_bytes: Annotated[int, Field(ge=1)] = 10 << 20
    audio_seconds: Annotated[float, Field(gt=0)] = 600.0  # hard; over the model's window is `truncated`
    decode_seconds: Annotated[float, Field(gt=0)] = 5.0  # for one item
    decode_memory: Annotated[int, Field(ge=64 << 20)] = 1 << 30  # bytes a worker may hold
    decode_workers: Annotated[int, Field(ge=0)] = 0  # 0: one for each core, at most 8
    event_age: Annotated[float, Field(gt=0)] | None = None  # seconds
    event_age_action: Literal["score", "deadletter", "drop"] = "score"
    cycle_records: Annotated[int, Field(ge=1)] = 4096
    cycle_bytes: Annotated[int, Field(ge=1)] = 32 << 20
    cycle_seconds: Annotated[float, Field(gt=0)] = 1.0
    buffer_records: Annotated[int, Field(ge=1)] = 20_000  # polled, not yet in a cycle
    buffer_bytes: Annotated[int, Field(ge=1)] = 96 << 20
    drain_seconds: Annotated[float, Field(gt=0)] = 10.0  # on a revoke
    grace_seconds: Annotated[float, Field(gt=0)] = 25.0  # on SIGTERM


class Http(Section):
    """Probes and metrics."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 9464


class Log(Section):
    """How the daemon talks to its operator."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "human", "json"] = "auto"


class Settings(Section):
    """Everything `tidegate run` reads."""

    kafka: Kafka = Kafka()
    input: Input = Input()
    output: Output = Output()
    deadletter: DeadLetter = DeadLetter()
    delivery: Literal["at_least_once", "exactly_once"] = "at_least_once"
    bundle: str = "starter"  # a folder, or the name of a bundle that ships with Tidegate
    engine: EngineSettings = EngineSettings()
    policy: Path | None = None  # None: the built-in policy
    limits: Limits = Limits()
    http: Http = Http()
    log: Log = Log()
