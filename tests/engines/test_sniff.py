import io

import numpy as np
import pytest
import soundfile
from PIL import Image

from engines.preprocess.sniff import MEDIA_TYPES, sniff


def encoded(media_type):
    buffer = io.BytesIO()
    if media_type.startswith("image/"):
        Image.new("RGB", (8, 8)).save(buffer, media_type[6:].upper())
    else:
        name = {"wav": "WAV", "flac": "FLAC", "ogg": "OGG", "mpeg": "MP3"}[media_type[6:]]
        soundfile.write(buffer, np.zeros(4000, np.float32), 16_000, format=name)
    return buffer.getvalue()


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
def test_each_supported_type_is_known_by_its_first_bytes(media_type):
    assert sniff(encoded(media_type)) == media_type


def test_an_mp3_with_tags_is_known():
    assert sniff(b"ID3\x04" + bytes(20)) == "audio/mpeg"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"RIFF",
        b"RIFF\0\0\0\0AVI ",
        b"%PDF-1.7",
        b"BM" + bytes(50),
        b"\xff\xf1\x50\x80",  # AAC in ADTS
        b"\xff\xfb\xf0\x00",  # layer III, but an invalid bit rate
        b"II*\0",  # TIFF
        b"\0\0\0\x20ftypavif",
        b"<svg/>",
    ],
)
def test_anything_else_is_none(data):
    assert sniff(data) is None
