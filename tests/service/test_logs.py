"""Logs: one line, on standard error, limited in rate, and nothing of the client's chatter."""

from __future__ import annotations

import io
import json
import logging

import pytest

from service import logs


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def restored():
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = before, level
    logging.captureWarnings(capture=False)


@pytest.fixture
def stream():
    return io.StringIO()


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_where_nobody_watches(stream):
    logs.setup(stream=stream)
    logging.getLogger("service.x").info("started %s", "帖", extra={"fields": {"port": 9464}})
    (line,) = lines(stream)
    assert line.pop("time").endswith("Z")
    assert line == {"level": "info", "logger": "service.x", "message": "started 帖", "port": 9464}


def test_text_on_a_terminal():
    stream = Terminal()
    logs.setup(stream=stream)
    logging.getLogger("service.x").warning("slow", extra={"fields": {"why": "a b", "n": 1}})
    text = stream.getvalue()
    assert "warning" in text
    assert text.endswith("slow why='a b' n=1\n")


@pytest.mark.parametrize(("form", "first"), [("json", "{"), ("human", "")])
def test_the_form_can_be_chosen(form, first):
    stream = Terminal() if form == "json" else io.StringIO()
    logs.setup(form=form, stream=stream)
    logging.getLogger("service.x").info("hello")
    assert stream.getvalue().startswith("{") is (first == "{")
    assert "\x1b" not in stream.getvalue()


def test_an_exception_is_one_line_of_json(stream):
    logs.setup(stream=stream)
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("service.x").exception("it failed")
    (line,) = lines(stream)
    assert line["traceback"].startswith("Traceback")
    assert "two\nlines" in line["traceback"]


def test_an_outage_cannot_flood(stream):
    logs.setup(stream=stream)
    log = logging.getLogger("service.x")
    for attempt in range(1000):
        log.warning("broker %d does not answer", attempt)
        log.warning("another line") if attempt == 500 else None
    messages = [line["message"] for line in lines(stream)]
    assert len(messages) == logs.BURST + 1
    assert "another line" in messages


def test_what_was_left_out_is_counted():
    now = [0.0]
    limit = logs.RateLimit(clock=lambda: now[0])

    def offer():
        record = logging.makeLogRecord({"name": "x", "msg": "again"})
        return limit.filter(record), getattr(record, "suppressed", 0)

    assert [offer()[0] for _ in range(9)] == [True] * logs.BURST + [False] * (9 - logs.BURST)
    now[0] += logs.EVERY
    assert offer() == (True, 9 - logs.BURST)
    assert offer() == (False, 0)


def test_the_limits_memory_is_bounded():
    limit = logs.RateLimit(clock=lambda: 0.0)
    for k in range(3 * logs.TEMPLATES):
        limit.filter(logging.makeLogRecord({"name": "x", "msg": f"unique {k}"}))
    assert len(limit._seen) <= logs.TEMPLATES


def test_different_lines_passed_on_through_one_template_are_told_apart(stream):
    logs.setup(stream=stream)
    for k in range(3 * logs.BURST):
        logging.getLogger("service.passed").warning("%s%s", f"kind {k}", "")
    assert len(lines(stream)) == 3 * logs.BURST


@pytest.mark.parametrize("name", ["kafka", "kafka.conn", "kafka.producer.sender"])
def test_the_clients_chatter_is_never_shown(stream, name):
    logs.setup("debug", stream=stream)
    logger = logging.getLogger(name)
    logger.debug("password=hunter2")
    logger.info("connecting")
    assert stream.getvalue() == ""


def test_our_debug_lines_show_when_asked_for(stream):
    logs.setup("debug", stream=stream)
    logging.getLogger("service.x").debug("detail")
    assert lines(stream)[0]["level"] == "debug"


def test_the_level_holds_for_everything(stream):
    logs.setup("error", stream=stream)
    logging.getLogger("service.x").warning("quiet")
    logging.getLogger("kafka").warning("quiet")
    assert stream.getvalue() == ""


def test_the_last_set_up_wins(stream):
    logs.setup(stream=io.StringIO())
    logs.setup(stream=stream)
    logging.getLogger("service.x").info("once")
    assert len(lines(stream)) == 1


def test_a_closed_standard_error_stops_nothing(stream):
    logs.setup(stream=stream)
    stream.close()
    logging.getLogger("service.x").error("nobody hears this")
