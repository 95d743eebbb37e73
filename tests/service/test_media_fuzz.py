"""Damaged, mislabelled and hostile media, seeded, through real workers: decoded or classified."""

import io
import random
import struct
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from engines.errors import MEDIA_REASONS
from engines.preprocess.sniff import MEDIA_TYPES
from engines.preprocess.spec import AudioSpec, ImageSpec
from service.config import Limits
from service.errors import RecordError
from service.intake.media import raw_media
from service.intake.pool import DecodePool

IMAGE, AUDIO = ImageSpec(64, 64), AudioSpec(2.0)
LIMITS = Limits(decode_memory=320 << 20, decode_seconds=5.0)
DAMAGED_PER_FORMAT = 260


def picture(rng, kind):
    side = rng.choice([1, 7, 64, 200])
    mode = rng.choice(
        {"JPEG": ["RGB", "L", "CMYK"], "WEBP": ["RGB", "RGBA"]}.get(kind, ["RGB", "L", "P", "RGBA"])
    )
    frames = [Image.effect_noise((side, side), 80).convert("RGB").convert(mode) for _ in range(3)]
    several = kind in ("GIF", "WEBP") and rng.random() < 0.5
    options = {"progressive": rng.random() < 0.5} if kind == "JPEG" else {}
    buffer = io.BytesIO()
    frames[0].save(
        buffer, kind, **options, **({"save_all": True, "append_images": frames[1:]} if several else {})
    )
    return buffer.getvalue()


def sound(rng, kind):
    rate = rng.choice([16_000, 44_100] if kind != "MP3" else [16_000, 44_100, 24_000])
    wave = np.random.default_rng(rng.randrange(99)).standard_normal(
        (rng.choice([1, 900, 9_000]), rng.choice([1, 2]))
    )
    buffer = io.BytesIO()
    soundfile.write(buffer, wave * 0.1, rate, format=kind)
    return buffer.getvalue()


def whole(rng, media_type):
    name = media_type.partition("/")[2].upper()
    return picture(rng, name) if media_type.startswith("image/") else sound(rng, name.replace("MPEG", "MP3"))


def cut(rng, data):
    return data[: rng.randrange(len(data))]


def flip(rng, data):
    damaged = bytearray(data)
    for _ in range(rng.choice([1, 2, 8, 64])):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def shout(rng, data):
    """Overwrite a field of the header with something extreme."""
    damaged, at = bytearray(data), rng.randrange(4, max(5, min(len(data), 60)))
    damaged[at : at + rng.choice([1, 2, 4])] = rng.choice([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"])
    return bytes(damaged)


def blank(rng, data):
    start = rng.randrange(len(data))
    return data[:start] + bytes(min(200, len(data) - start)) + data[start + 200 :]


def repeat(rng, data):
    start, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return data[:end] + data[start:end] * rng.choice([1, 30]) + data[end:]


def splice(rng, data):
    return data[: rng.randrange(len(data))] + whole(rng, rng.choice(MEDIA_TYPES))


def keep(rng, data):
    return data


def damaged_cases():
    for number, media_type in enumerate(MEDIA_TYPES):
        rng = random.Random(number)
        for _ in range(DAMAGED_PER_FORMAT):
            damage = rng.choice([cut, flip, flip, shout, shout, blank, repeat, splice, keep])
            claim = media_type if rng.random() < 0.8 else rng.choice([*MEDIA_TYPES, "image/tiff", ""])
            yield f"{media_type} {damage.__name__}", damage(rng, whole(rng, media_type)), claim


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width, height, depth, colour, data, *extra):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *extra, chunk(b"IDAT", data), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def image_bombs():
    squeezed = zlib.compress(bytes(48 << 20), 9)
    for width, height in [
        (65_536, 1),
        (1, 65_536),
        (2**31 - 1, 2**31 - 1),
        (16_384, 16_384),
        (20_000, 2_000),
    ]:
        yield "png declares", png(width, height, 8, 6, b"")
        yield "png bomb", png(width, height, 8, 2, squeezed)
        yield (
            "gif declares",
            b"GIF89a" + struct.pack("<HHBBB", width & 0xFFFF, height & 0xFFFF, 0, 0, 0) + b";",
        )
        body = struct.pack("<I", 0x10) + (width & 0xFFFFFF).to_bytes(3, "little") * 2
        yield "webp declares", b"RIFF\x40\0\0\0WEBPVP8X\x0a\0\0\0" + body + bytes(40)
    yield "png within limits", png(8_000, 5_000, 1, 0, zlib.compress(bytes(5_000 * 1_001), 9))
    full = zlib.compress(bytes(5_000 * 32_001), 1)
    yield "png with alpha at the pixel limit", png(8_000, 5_000, 8, 6, full)
    yield "png at the pixel limit, 64 bits", png(8_000, 5_000, 16, 6, squeezed)
    for name in (b"zTXt", b"iCCP"):
        yield "png chunk bomb", png(8, 8, 8, 0, zlib.compress(bytes(72)), chunk(name, b"k\0\0" + squeezed))
    many = [chunk(b"tEXt", b"k\0" + bytes(60_000))] * 150
    yield "png many texts", png(8, 8, 8, 0, zlib.compress(bytes(72)), *many)
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 3_000, 3_000, 0) + b"\x02\x01\x44\0"
    yield (
        "gif of many empty frames",
        b"GIF89a" + struct.pack("<HHBBB", 3_000, 3_000, 0, 0, 0) + frame * 5_000 + b";",
    )
    frames = [Image.new("P", (300, 300), k) for k in range(200)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    yield "gif of many frames", buffer.getvalue()
    huge = io.BytesIO()
    Image.new("L", (6_000, 6_000)).save(huge, "JPEG", progressive=True)
    yield "jpeg large and progressive", huge.getvalue()


def wav(rate, channels, bits, size, form=1):
    width = channels * bits // 8
    body = struct.pack("<HHIIHH", form, channels, rate, rate * width & 0xFFFFFFFF, width & 0xFFFF, bits)
    header = b"RIFF" + struct.pack("<I", 0xFFFFFFFF) + b"WAVEfmt \x10\0\0\0" + body
    return header + b"data" + struct.pack("<I", size & 0xFFFFFFFF) + bytes(2_000)


def audio_bombs():
    for rate in (0, 1, 16_000, 192_000, 2**31 - 1, 2**32 - 1):
        for channels in (0, 1, 2, 64, 65_535):
            for size in (0, 2_000, 2**31, 2**32 - 1):
                yield "wav lies", wav(rate, channels, 16, size)
    for form, bits in [(3, 32), (3, 64), (6, 8), (7, 8), (1, 1), (1, 65_535), (0x55, 0), (0xFFFE, 16)]:
        yield "wav format", wav(16_000, 1, bits, 2_000, form)
    for seconds in (10, 10**6, 2**36 // 16_000):
        good = bytearray(sound(random.Random(seconds), "FLAC"))
        total = min(seconds * 16_000, 2**36 - 1)
        good[21] = good[21] & 0xF0 | total >> 32
        good[22:26] = struct.pack(">I", total & 0xFFFFFFFF)
        yield "flac lies", bytes(good)
    ogg = bytearray(sound(random.Random(1), "OGG"))
    last = ogg.rfind(b"OggS")
    ogg[last + 6 : last + 14] = struct.pack("<q", 10**6 * 44_100)
    yield "ogg lies", bytes(ogg)
    yield "mp3 with a huge tag", b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + bytes(5_000)
    yield "mp3 of empty frames", b"\xff\xfb\x90\x00" * 50_000


class PeakMemory(threading.Thread):
    """Watches the resident memory of every worker that lives."""

    def __init__(self, pool):
        super().__init__(daemon=True)
        self.pool, self.bytes, self.ended = pool, 0, threading.Event()

    def run(self):
        while not self.ended.wait(0.05):
            self.look()

    def look(self):
        for pid in self.pool.pids():
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                continue
            if "VmHWM:" in status:
                self.bytes = max(self.bytes, int(status.split("VmHWM:")[1].split()[0]) * 1024)


@pytest.fixture(scope="module")
def outcome():
    """Every case through one pool, a hundred at a time as a cycle does, with what became of it."""
    restarts, results = [], []
    bombs = [(name, data, "") for source in (image_bombs, audio_bombs) for name, data in source()]
    cases = [*damaged_cases(), *bombs]
    pool = DecodePool(IMAGE, AUDIO, LIMITS, 2, restarts.append)
    pool.start()
    watch = PeakMemory(pool)
    watch.look()
    baseline = watch.bytes
    watch.start()
    start = time.monotonic()
    try:
        for at in range(0, len(cases), 100):
            media = [raw_media(data, claim, "image", LIMITS) for _, data, claim in cases[at : at + 100]]
            futures = [None if item.fault else pool.submit(item) for item in media]
            results += [
                item.fault if future is None else (future.exception(60) or future.result())
                for item, future in zip(media, futures, strict=True)
            ]
        alive = len(pool.pids())
    finally:
        watch.ended.set()
        watch.join()
        pool.close()
    names = [name for name, _, _ in cases]
    print(f"{len(cases)} cases, {time.monotonic() - start:.1f} s, peak {watch.bytes >> 20} MiB, {restarts}")
    return names, results, watch.bytes - baseline, restarts, alive


def test_each_of_two_thousand_cases_is_decoded_or_classified(outcome):
    names, results, _, _, alive = outcome
    assert len(results) == len(names) >= 2_000
    for name, result in zip(names, results, strict=True):
        if isinstance(result, RecordError):
            assert result.kind == "media", name
            assert result.reason in MEDIA_REASONS, name
        else:
            shapes = {(row.shape if row.dtype == np.uint8 else (row.ndim,)) for row in result.rows}
            assert shapes in ({(64, 64, 3)}, {(1,)}), name
    assert alive == 2


def test_both_ends_are_really_reached(outcome):
    """A fuzz in which all decodes, or nothing does, would show nothing."""
    _, results, _, _, _ = outcome
    failed = [result.reason for result in results if isinstance(result, RecordError)]
    assert 0.2 < len(failed) / len(results) < 0.8
    assert {"undecodable", "bomb", "too_long", "unsupported_media_type"} <= set(failed)


def test_undamaged_media_is_always_decoded(outcome):
    names, results, _, _, _ = outcome
    good = [result for name, result in zip(names, results, strict=True) if name.endswith(" keep")]
    assert len(good) > 100
    assert not [result for result in good if isinstance(result, RecordError)]


def test_declared_bombs_never_decode(outcome):
    names, results, _, _, _ = outcome
    for name, result in zip(names, results, strict=True):
        if name.endswith(("declares", "bomb")):
            assert isinstance(result, RecordError), name


def test_workers_stay_under_their_memory_limit(outcome):
    _, _, grown, _, _ = outcome
    assert 100 << 20 < grown <= LIMITS.decode_memory
