"""Media by path: read within bounds, and a line that cannot be read so is the line that it was."""

from __future__ import annotations

import base64
import json

import pytest

from service.cli.beside import with_media
from service.event import MEDIA_ITEMS

LARGEST = 16 << 20


def event(*names, **more):
    """A line that names images by path."""
    images = [{"path": name} for name in names]
    return json.dumps({"image": images[0] if len(images) == 1 else images, **more}).encode()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.png").write_bytes(b"picture")
    (tmp_path / "large.png").write_bytes(bytes(13 << 20))
    (tmp_path / "half.png").write_bytes(bytes(7 << 20))
    return tmp_path


def test_every_path_of_a_list_is_read(folder):
    made = json.loads(with_media(event("a.png", "a.png", text="x"), folder, LARGEST))
    assert [base64.b64decode(item["bytes"]) for item in made["image"]] == [b"picture"] * 2
    assert made["text"] == "x"


def test_a_byte_order_mark_is_no_hindrance(folder):
    assert b"bytes" in with_media(b"\xef\xbb\xbf" + event("a.png"), folder, LARGEST)


def test_what_is_nested_too_deep_to_be_written_stays_as_it_was(folder):
    line = event("a.png")[:-1] + b', "odd": ' + b"[" * 400 + b"]" * 400 + b"}"
    assert with_media(line, folder, LARGEST) is line


def test_more_media_than_the_intake_allows_are_not_read(folder):
    line = event(*["a.png"] * (MEDIA_ITEMS + 1))
    assert with_media(line, folder, LARGEST) is line
    assert b"bytes" in with_media(event(*["a.png"] * MEDIA_ITEMS), folder, LARGEST)


@pytest.mark.parametrize("names", [["large.png"], ["half.png", "half.png"], ["a.png", "large.png"]])
def test_media_that_are_too_large_once_encoded_are_not_read(folder, names):
    line = event(*names)
    assert with_media(line, folder, LARGEST) is line


def test_a_line_never_grows_over_the_limit(folder):
    """Numbers may be longer once written."""
    line = event("a.png", odd=0).replace(b"0}", b"[" + b",".join([b"1e15"] * 90) + b"]}")
    assert with_media(line, folder, len(line) + 100) is line


def test_the_data_of_a_cloudevent_are_left_alone(folder):
    line = json.dumps({"specversion": "1.0", "data": {"image": {"path": "a.png"}}}).encode()
    assert with_media(line, folder, LARGEST) is line
