"""Whatever a producer writes becomes a score or a dead letter that says why; nothing stops the daemon."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib

from tests.cluster import Sent
from tests.harness import Daemon, World, media, picture, post

JSON, EVENT, NOTHING = ("invalid", "invalid_json"), ("invalid", "invalid_event"), ("invalid", "no_content")
SCORE = ("score", "")


def typed(kind: str) -> tuple[tuple[str, bytes], ...]:
    return (("content-type", kind.encode()),)


def huge_png(side: int = 65_500) -> bytes:
    """A header that promises four gigapixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )


DEEP = b"[" * 10_000 + b"]" * 10_000
CASES: dict[str, tuple[Sent, tuple[str, str]]] = {
    "no JSON": (Sent(b"{not json"), JSON),
    "cut off": (Sent(b'{"text": "x"'), JSON),
    "not UTF-8": (Sent(b'{"text": "\xff\xfe"}'), JSON),
    "nested 10,000 deep": (Sent(b'{"text": "x", "more": ' + DEEP + b"}"), JSON),
    "NaN": (Sent(b'{"text": "x", "reach": NaN}'), JSON),
    "lone surrogate": (Sent(b'{"text": "\\ud800"}'), JSON),
    "a list": (Sent(b"[1, 2]"), EVENT),
    "text is a number": (Sent(b'{"text": 5}'), EVENT),
    "topics are a string": (Sent(b'{"text": "x", "topics": "no"}'), EVENT),
    "no time": (Sent(b'{"text": "x", "time": "yesterday"}'), EVENT),
    "1e400": (Sent(b'{"text": "x", "reach": 1e400}'), EVENT),
    "below zero": (Sent(b'{"text": "x", "reach": -1}'), EVENT),
    "long id": (Sent(post("x", id="i" * 257)), EVENT),
    "nine media": (Sent(post("x", image=[{"url": "https://a/b"}] * 9)), EVENT),
    "wrong charset": (Sent(b"\xff\xfe\xff", headers=typed("text/plain; charset=utf-8")), EVENT),
    "empty": (Sent(b""), NOTHING),
    "tombstone": (Sent(None, b"key"), NOTHING),
    "blank": (Sent(post(" \n ")), NOTHING),
    "no content": (Sent(b"{}"), NOTHING),
    "unknown content-type": (
        Sent(b"x", headers=typed("application/x-thing")),
        ("media", "unsupported_media_type"),
    ),
    "no image": (Sent(b"rubbish", headers=typed("image/png")), ("media", "undecodable")),
    "broken image": (Sent(picture(64)[:60], headers=typed("image/png")), ("media", "undecodable")),
    "bomb": (Sent(huge_png(), headers=typed("image/png")), ("media", "bomb")),
    "by url": (
        Sent(json.dumps({"image": {"url": "https://a/b.png"}}).encode()),
        ("media", "url_not_allowed"),
    ),
    "duplicate keys": (Sent(b'{"text": 5, "text": "the last one wins"}'), SCORE),
    "1e400 where nobody looks": (Sent(b'{"text": "x", "unknown": 1e400}'), SCORE),
    "nulls": (Sent(b'{"text": "x", "image": null, "lang": null}'), SCORE),
}


def test_every_broken_event_gets_its_class_and_reason_and_its_neighbours_their_scores(
    serving: tuple[World, Daemon],
):
    world, daemon = serving
    key_headers = (("who", b"me"), ("traceparent", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01"))
    cases = {
        name: Sent(event.value, event.key or name.encode(), event.headers + key_headers)
        for name, (event, _) in CASES.items()
    }
    sent = dict(zip(cases, world.send(cases.values()), strict=True))
    good = world.send([f"a good event after {name}" for name in cases])
    world.wait_answered(30, daemon)
    dead = {
        answer.origin: tuple(
            (dict(answer.fact.headers)[f"tidegate-dlq-{n}"] or b"").decode() for n in ("class", "reason")
        )
        for answer in world.answers()
        if answer.kind == "dead"
    }
    assert {name: dead.get(fact.at, SCORE) for name, fact in sent.items()} == {
        name: expected for name, (_, expected) in CASES.items()
    }
    assert not {fact.at for fact in good} & set(dead)
    assert world.verdict().problems(duplicates=0) == [], (
        "untouched bytes, keys and headers are among its checks"
    )
    assert daemon.live
    assert daemon.ready


def test_a_dead_letter_says_where_when_and_by_whom(serving: tuple[World, Daemon]):
    world, daemon = serving
    (fact,) = world.send([Sent(b"{not json", b"key")])
    world.wait_answered(20, daemon)
    headers = dict(world.dead_of(fact).headers)
    said = {name.removeprefix("tidegate-dlq-"): (value or b"").decode() for name, value in headers.items()}
    assert (said["topic"], int(said["partition"]), int(said["offset"])) == tuple(fact.at)
    assert (int(said["timestamp"]), said["group"]) == (fact.time, world.group)
    assert (said["stage"], said["attempts"], said["replays"], said["mode"]) == (
        "prepare",
        "1",
        "0",
        "content",
    )
    assert said["version"]


def test_the_last_of_duplicate_keys_is_what_was_scored(serving: tuple[World, Daemon]):
    world, daemon = serving
    (fact,) = world.send([Sent(b'{"text": "first", "text": "second"}')])
    world.wait_answered(20, daemon)
    text = next(item for item in world.score_of(fact)["inputs"] if item["modality"] == "text")
    assert text["sha256"] == hashlib.sha256(b"second").hexdigest()


def test_a_broken_image_does_not_cost_the_text_its_score(serving: tuple[World, Daemon]):
    world, daemon = serving
    broken, whole = world.send(
        Sent(post("good text", image=media(data, "image/png"))) for data in (picture(64)[:60], picture(64))
    )
    world.wait_answered(20, daemon)
    score = world.score_of(broken)
    inputs = {item["modality"]: (item["status"], item["reason"]) for item in score["inputs"]}
    assert inputs == {"text": ("scored", None), "image": ("failed", "undecodable"), "audio": ("absent", None)}
    assert score["moderation"]["violence/graphic"]["status"] == "not_evaluated"
    assert score["moderation"]["violence/graphic"]["probability"] is None
    assert score["moderation"]["harassment"]["status"] == "scored"
    assert world.score_of(whole)["moderation"]["violence/graphic"]["status"] == "scored"
