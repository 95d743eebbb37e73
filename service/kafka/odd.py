"""Odd records, byte for byte: header names that are no text, null header values, records of nothing at all.

Kafka's wire format allows them and other clients send them. kafka-python 3.0.12 fails to read the first, and
its `send` refuses to write any of the three, so its reader and its encoder are taught here.
"""

# ruff: noqa: SLF001 - the private parts of the client are what this is about

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from kafka.errors import KafkaError
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

NULL: Final = bytes(bytearray(b"nothing"))
"""Stands for null in a header's value or a record's: this very object, not what it holds."""


class HeaderName(str):
    """A header's name that is not UTF-8, as text with surrogates; it encodes to the bytes that it was."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "surrogateescape") -> bytes:
        """The name's own bytes."""
        return super().encode(encoding, errors)


class _Buffer(bytearray):
    """A batch whose slices never fail to become text."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _Slice(found) if isinstance(at, slice) else found


class _Slice(bytearray):
    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        try:
            return super().decode(encoding, errors)
        except UnicodeDecodeError:
            return HeaderName(super().decode(encoding, "surrogateescape"))


_read_strictly, _write_strictly = DefaultRecordBatch._read_msg, DefaultRecordBatchBuilder.append


def _read(batch: Any) -> Any:
    try:
        return _read_strictly(batch)
    except UnicodeDecodeError:  # the batch's place has not moved: the same record once more, and the rest
        batch._buffer = _Buffer(batch._buffer)
        return _read_strictly(batch)


def _write(
    builder: Any,
    offset: int,
    timestamp: int | None,
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[tuple[str, bytes | None]],
) -> Any:
    if any(held is NULL for _, held in headers):
        headers = [(name, None if held is NULL else held) for name, held in headers]
    return _write_strictly(builder, offset, timestamp, key, None if value is NULL else value, headers)


DefaultRecordBatch._read_msg, DefaultRecordBatchBuilder.append = _read, _write


def survive() -> bool:
    """Whether such a record comes out of the client's encoder and reader as it was."""
    headers = [(HeaderName(b"\xff-name".decode("utf-8", "surrogateescape")), NULL), ("name", b"\xff")]
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=False,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 10,
    )
    try:
        builder.append(0, 1, None, NULL, headers)
        (record,) = DefaultRecordBatch(builder.build())
    except (KafkaError, ValueError, TypeError):
        return False
    read = [(name.encode(), held) for name, held in record.headers]
    return (record.key, record.value, read) == (None, None, [(b"\xff-name", None), (b"name", b"\xff")])
