"""A decoder that crashes, hangs, leaves or eats memory costs its one item, neither event nor neighbours."""

from __future__ import annotations

import pytest

from tests.cluster import Sent
from tests.harness import Daemon, World, media, picture, post


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("crash", "killed_worker"),
        ("exit", "killed_worker"),
        ("hang", "decode_timeout"),
        ("oom", "out_of_memory"),
    ],
)
def test_a_decode_worker_that_fails_on_one_item_fails_that_item(
    serving: tuple[World, Daemon], how: str, reason: str
):
    world, daemon = serving
    deadly = picture() + b"fail-decode-" + how.encode()
    good, bad, alone, *rest = world.send(
        [
            Sent(post("before", image=media(picture(), "image/png"))),
            Sent(post("with text", image=media(deadly, "image/png"))),
            Sent(deadly, headers=(("content-type", b"image/png"),)),
            *(Sent(post("after", image=media(picture(), "image/png"))) for _ in range(5)),
        ]
    )
    world.wait_answered(30, daemon)
    assert image_of(world.score_of(bad)) == ("failed", reason)
    assert world.score_of(bad)["inputs"][0]["status"] == "scored", "its text"
    assert dict(world.dead_of(alone).headers)["tidegate-dlq-reason"] == reason.encode()
    assert [image_of(world.score_of(fact)) for fact in [good, *rest]] == [("scored", None)] * 6
    assert daemon.ready


def image_of(score: dict) -> tuple[str, str | None]:
    return next((i["status"], i["reason"]) for i in score["inputs"] if i["modality"] == "image")
