"""Logs on standard error: for people on a terminal, JSON lines otherwise; limited in rate, never a payload.

`log.info("output topic is back", extra={"fields": {"topic": topic}})` adds structured fields.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

import orjson

BURST: Final = 5
"""Lines of one template that pass at once."""
EVERY: Final = 10.0
"""Seconds until one more of them may pass; then it says how many were left out."""
TEMPLATES: Final = 1024
QUIET: Final = ("kafka", "PIL", "urllib3", "asyncio")
"""Libraries that are heard from `warning` up: at lower levels, clients print what they send."""
COLOURS: Final = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[1;31m", "DEBUG": "\x1b[2m"}


class RateLimit(logging.Filter):
    """Lets a burst of each (logger, template) pass, then one each `EVERY` seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._seen: dict[tuple[str, str], list[float]] = {}  # allowance, when it was counted, suppressed

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line passes; one that does says how many like it did not."""
        template = str(record.msg)
        if not template.replace("%s", "").strip(": "):  # a bare "%s" passes on somebody else's line
            template = record.getMessage()[:60]
        key, now = (record.name, template), self._clock()
        if key not in self._seen and len(self._seen) >= TEMPLATES:
            self._seen.pop(next(iter(self._seen)))
        state = self._seen.setdefault(key, [float(BURST), now, 0.0])
        state[0] = min(BURST, state[0] + (now - state[1]) / EVERY)
        state[1] = now
        if state[0] < 1:
            state[2] += 1
            return False
        state[0] -= 1
        if state[2]:
            record.suppressed = int(state[2])
            state[2] = 0.0
        return True


class JsonLines(logging.Formatter):
    """One JSON object a line; an exception is its `traceback` in one string."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": _stamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if suppressed := getattr(record, "suppressed", 0):
            line["suppressed"] = suppressed
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class Human(logging.Formatter):
    """Time, level, message and fields, for a person."""

    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """The line, with a traceback below it where there is one."""
        moment = datetime.fromtimestamp(record.created, UTC).astimezone().strftime("%H:%M:%S.%f")[:-3]
        level = f"{record.levelname.lower():<8}"
        if self._colour and record.levelname in COLOURS:
            level = f"{COLOURS[record.levelname]}{level}\x1b[0m"
        fields = "".join(f" {name}={_shown(value)}" for name, value in _fields(record).items())
        text = f"{moment} {level} {record.getMessage()}{fields}"
        if suppressed := getattr(record, "suppressed", 0):
            text += f" (and {suppressed} more like it)"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


def setup(
    level: Literal["debug", "info", "warning", "error"] = "info",
    form: Literal["auto", "human", "json"] = "auto",
    stream: TextIO | None = None,
) -> None:
    """Send every logger to `stream` (default standard error); callable again, the last call wins.

    Structured fields go in `extra={"fields": {...}}`.
    """
    stream = sys.stderr if stream is None else stream
    terminal = stream.isatty()
    handler = logging.StreamHandler(stream)
    human = form == "human" or (form == "auto" and terminal)
    handler.setFormatter(Human(colour=terminal) if human else JsonLines())
    handler.addFilter(RateLimit())
    handler.setLevel(level.upper())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in QUIET:
        logger = logging.getLogger(name)
        logger.setLevel(logging.WARNING)
        logger.addFilter(_warnings_only)
    logging.captureWarnings(capture=True)
    logging.raiseExceptions = False  # a closed standard error must not stop the daemon


def _warnings_only(record: logging.LogRecord) -> bool:
    """Holds even where the library sets its own level back."""
    return record.levelno >= logging.WARNING


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields = getattr(record, "fields", None)
    return dict(fields) if isinstance(fields, dict) else {}


def _shown(value: Any) -> str:
    text = str(value)
    return repr(text) if not text or any(c.isspace() for c in text) else text


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
