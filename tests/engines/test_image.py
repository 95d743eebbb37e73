import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from engines.errors import MediaError
from engines.preprocess.image import ImageLimits, decode_image
from engines.preprocess.spec import ImageSpec

SPEC = ImageSpec(32, 48, frames=4)
LIMITS = ImageLimits()
RED, GREEN, WHITE = (255, 0, 0), (0, 255, 0), (255, 255, 255)


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(width, height, *, depth=8, colour=2, chunks=(), data=b""):
    """A PNG as its chunks: the header may promise anything."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, body) for name, body in parts)


def one(data, spec=SPEC, limits=LIMITS):
    (pixels,) = decode_image(data, spec, limits)
    assert pixels.shape == (spec.height, spec.width, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    return pixels.astype(int)


def reason(data, limits=LIMITS):
    with pytest.raises(MediaError) as caught:
        decode_image(data, SPEC, limits)
    return caught.value.reason


def close(pixels, colour, tolerance=3):
    return bool((np.abs(pixels - np.array(colour)) <= tolerance).all())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_each_format_keeps_its_colours(kind):
    pixels = one(saved(Image.new("RGB", (100, 60), (200, 30, 90)), kind))
    assert close(pixels, (200, 30, 90), 5)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_puts_the_red_corner_at_the_top_left(orientation):
    upright = np.full((320, 480, 3), 255, np.uint8)
    upright[:160, :240] = RED
    upright[160:, :240] = GREEN
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = one(saved(Image.fromarray(np.ascontiguousarray(stored)), "JPEG", exif=exif, quality=95))
    assert close(pixels[2:12, 2:20], RED, 12)
    assert close(pixels[20:30, 2:20], GREEN, 12)
    assert close(pixels[:, 28:], WHITE, 12)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_broken_exif_block_costs_only_the_orientation():
    data = saved(
        Image.new("RGB", (60, 60), RED), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + b"\xff" * 40
    )
    assert close(one(data), RED, 5)


def test_a_palette_with_transparency_lies_on_white():
    image = Image.new("P", (40, 40), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(1, (0, 0, 20, 40))
    pixels = one(saved(image, "PNG", transparency=1))
    assert close(pixels[:, :20], WHITE)
    assert close(pixels[:, 28:], RED)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_half_transparent_green_on_white_is_light_green(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    assert close(one(saved(Image.new("RGBA", (40, 40), (0, 255, 0, 128)), kind, **options)), (127, 255, 127))


def test_transparent_black_is_white_and_leaves_no_dark_edge():
    image = Image.new("RGBA", (480, 320), (0, 0, 0, 0))
    image.paste((255, 255, 255, 255), (0, 0, 240, 320))
    assert close(one(saved(image, "PNG")), WHITE, 1)


def test_grey_with_alpha_lies_on_white():
    assert close(one(saved(Image.new("LA", (40, 40), (0, 0)), "PNG")), WHITE)
    assert close(one(saved(Image.new("LA", (40, 40), (90, 255)), "PNG")), (90, 90, 90))


def test_rgb_with_one_transparent_colour_lies_on_white():
    assert close(one(saved(Image.new("RGB", (40, 40), RED), "PNG", transparency=RED)), WHITE)


@pytest.mark.parametrize("mode", ["1", "L"])
def test_grey_has_three_equal_channels(mode):
    level = 255 if mode == "1" else 77
    assert close(one(saved(Image.new(mode, (40, 40), level), "PNG")), (level,) * 3)


def test_cmyk_comes_out_as_its_rgb():
    cmyk = Image.new("CMYK", (80, 80), (0, 255, 255, 0))
    assert close(one(saved(cmyk, "JPEG", quality=95)), RED, 6)


def test_sixteen_bits_are_scaled_and_not_clipped():
    ramp = np.linspace(0, 65_535, 480).astype(np.uint16)[None].repeat(320, 0)
    pixels = one(saved(Image.fromarray(ramp), "PNG"))
    assert close(pixels[:, :, 0], np.linspace(0, 255, 48)[None], 4)
    row = np.full((32, 48, 3), 0x8000, ">u2")
    data = b"".join(b"\0" + line.tobytes() for line in row)
    assert close(one(png(48, 32, depth=16, data=data)), (128, 128, 128), 1)


def test_an_animation_gives_its_first_frames_in_order():
    colours = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0), (0, 250, 250), (9, 9, 9)]
    frames = [Image.new("RGB", (64, 64), colour) for colour in colours]
    for kind in ("GIF", "WEBP"):
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)
        rows = decode_image(data, SPEC, LIMITS)
        assert len(rows) == 4
        assert all(close(row.astype(int), colour, 6) for row, colour in zip(rows, colours, strict=False))
        assert len(decode_image(data, SPEC, ImageLimits(frames=2))) == 2


def test_frames_share_one_budget_of_pixels():
    frames = [Image.new("RGB", (100, 100), (k * 40, 0, 0)) for k in range(5)]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert len(decode_image(data, SPEC, ImageLimits(pixels=25_000))) == 2


def test_an_animation_that_breaks_after_its_first_frame_keeps_that_frame():
    frames = [Image.effect_noise((64, 64), 90).convert("RGB") for _ in range(4)]
    data = saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    cut = data.find(b"ANMF", data.find(b"ANMF") + 4) + 40
    broken = data[:cut] + bytes(200) + data[cut + 200 :]
    assert 1 <= len(decode_image(broken, SPEC, LIMITS)) < 4


def test_a_huge_png_is_refused_from_its_header():
    assert reason(png(65_536, 1)) == "bomb"
    assert reason(png(16_000, 16_000)) == "bomb"


def test_a_huge_webp_is_refused_before_its_canvas_is_allocated():
    body = b"\x10\0\0\0" + (16_382).to_bytes(3, "little") * 2
    data = b"RIFF\x1e\0\0\0WEBPVP8X" + struct.pack("<I", 10) + body + bytes(20)
    assert reason(data) == "bomb"


def test_a_huge_gif_frame_is_refused():
    data = bytearray(saved(Image.new("P", (8, 8)), "GIF"))
    data[6:10] = struct.pack("<HH", 60_000, 60_000)
    assert reason(bytes(data)) == "bomb"


def test_a_compressed_text_bomb_is_a_bomb():
    text = b"Comment\0\0" + zlib.compress(bytes(8 << 20))
    data = png(8, 8, chunks=[(b"zTXt", text)], data=(b"\0" + bytes(24)) * 8)
    assert reason(data) in {"bomb", "undecodable"}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_truncated_image_is_undecodable(kind):
    data = saved(Image.effect_noise((200, 200), 90).convert("RGB"), kind)
    assert reason(data[: len(data) // 2]) == "undecodable"


def test_other_formats_are_unsupported():
    assert reason(saved(Image.new("RGB", (8, 8)), "BMP")) == "unsupported_media_type"
    assert reason(b"") == "unsupported_media_type"


def test_a_large_photo_matches_its_full_decode():
    rng = np.random.default_rng(3)
    small = Image.fromarray(rng.integers(0, 255, (30, 40, 3), dtype=np.uint8))
    data = saved(small.resize((2400, 1800), Image.Resampling.BICUBIC), "JPEG", quality=95)
    full = Image.open(io.BytesIO(data)).resize((48, 32), Image.Resampling.BILINEAR)
    assert np.abs(one(data) - np.asarray(full).astype(int)).mean() < 2
