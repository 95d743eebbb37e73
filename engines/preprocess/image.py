"""Image bytes → RGB pixels, by Pillow; everything that can be refused is refused from the header."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from engines.batch import UInt8
from engines.errors import MediaError, MediaReason
from engines.preprocess.sniff import sniff
from engines.preprocess.spec import ImageSpec

_FORMATS: Final = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/gif": "GIF"}
_ANIMATED: Final = ("WEBP", "GIF")
_ORIENTATION: Final = 0x0112
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SHRINK: Final = 2.0  # decode and box-filter down to this multiple of the wanted size, then resample finely


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What one image may declare: pixels of a frame, its longer side, and how many frames are looked at."""

    pixels: int = 40_000_000
    side: int = 16_384
    frames: int = 4


def decode_image(data: bytes, spec: ImageSpec, limits: ImageLimits) -> list[UInt8]:
    """An image as uint8 [spec.height, spec.width, 3] each: one for a still, the first frames of an animation.

    Upright by EXIF, transparency on white, 16 bits scaled to 8. The frames looked at hold at most
    `limits.pixels` together. A frame after the first that is broken ends the animation.
    Raises `MediaError`: unsupported_media_type, undecodable, bomb or out_of_memory.
    """
    media_type = sniff(data)
    if media_type not in _FORMATS:
        raise MediaError("unsupported_media_type", "not JPEG, PNG, WebP or GIF by its first bytes")
    with _named_failures():
        if media_type == "image/webp":
            _check(_webp_canvas(data), limits)  # Pillow allocates two canvases on opening
        with Image.open(io.BytesIO(data), formats=[_FORMATS[media_type]]) as image:
            _check(image.size, limits)
            return _frames(image, spec, limits)


def _frames(image: Image.Image, spec: ImageSpec, limits: ImageLimits) -> list[UInt8]:
    wanted = 1
    if image.format in _ANIMATED:
        wanted = max(1, min(spec.frames, limits.frames, limits.pixels // (image.width * image.height)))
    rows = [_pixels(image, spec)]
    for number in range(1, wanted):
        try:
            with _named_failures():
                image.seek(number)
                _check(image.size, limits)
                rows.append(_pixels(image, spec))
        except MediaError as error:
            if error.reason != "undecodable":
                raise
            break
    return rows


def _pixels(image: Image.Image, spec: ImageSpec) -> UInt8:
    """The current frame, fitted to `spec`; transposing and compositing happen on the small image."""
    swap = _orientation(image) >= 5 if image.format in ("JPEG", "MPO") else False
    wanted = (spec.height, spec.width) if swap else (spec.width, spec.height)
    wanted = (max(wanted[0], spec.edge), max(wanted[1], spec.edge))
    image.draft(None, (round(wanted[0] * _SHRINK), round(wanted[1] * _SHRINK)))
    image.load()
    orientation = _orientation(image)
    size = (spec.height, spec.width) if orientation >= 5 else (spec.width, spec.height)
    resample, box = Image.Resampling[spec.resample.upper()], _kept(image.size, size, spec)
    small = _resampleable(image).resize(size, resample, box=box, reducing_gap=_SHRINK)
    if orientation in _UPRIGHT:
        small = small.transpose(_UPRIGHT[orientation])
    if small.mode == "RGBa":
        ground = Image.new("RGBA", small.size, "white")
        small = Image.alpha_composite(ground, small.convert("RGBA"))
    return np.array(small.convert("RGB"))


def _kept(
    whole: tuple[int, int], size: tuple[int, int], spec: ImageSpec
) -> tuple[float, float, float, float] | None:
    """The part of an image that becomes `size`: for "crop" what resizing all and cutting would keep."""
    if spec.fit == "stretch":
        return None
    edge, short = spec.edge or max(size), min(whole)
    resized = [side * edge // short for side in whole]
    firsts = [(have - want) // 2 for have, want in zip(resized, size, strict=True)]
    x, y = (side / have for side, have in zip(whole, resized, strict=True))
    return firsts[0] * x, firsts[1] * y, (firsts[0] + size[0]) * x, (firsts[1] + size[1]) * y


def _resampleable(image: Image.Image) -> Image.Image:
    """The image in a mode that Pillow resamples right: L, RGB, CMYK, or RGBa (colours times alpha)."""
    if image.mode.startswith("I;16"):  # Pillow would clip to 255 instead of scaling
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode == "I":
        return Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
    if "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        return image.convert("RGBA").convert("RGBa")
    if image.mode in ("1", "L"):
        return image.convert("L")
    return image if image.mode in ("RGB", "CMYK") else image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - a broken EXIF block costs the orientation, not the image
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _check(size: tuple[int, int], limits: ImageLimits) -> None:
    width, height = size
    if min(size) < 1:
        raise MediaError("undecodable", "no pixels")
    if max(size) > limits.side or width * height > limits.pixels:
        raise MediaError("bomb", f"declares {width} × {height} pixels")


def _webp_canvas(data: bytes) -> tuple[int, int]:
    """Width and height from the first chunk of a WebP file (VP8X, VP8L or VP8)."""
    chunk, body = data[12:16], data[20:30]
    if len(body) < 10:
        raise MediaError("undecodable", "ends within its header")
    if chunk == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if chunk == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 ":
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    raise MediaError("undecodable", "not a WebP bitstream")


@contextmanager
def _named_failures() -> Iterator[None]:
    """Give every failure of Pillow its reason."""
    try:
        yield
    except MediaError:
        raise
    except MemoryError as error:
        raise MediaError("out_of_memory", "more memory than a decoder may hold") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise MediaError("bomb", "declares too many pixels") from error
    except ValueError as error:
        text_bomb = "Decompressed data too large" in str(error) or "text chunks" in str(error)
        reason: MediaReason = "bomb" if text_bomb else "undecodable"
        raise MediaError(reason, type(error).__name__) from error
    except Exception as error:  # bad bytes make parsers trip over anything
        raise MediaError("undecodable", type(error).__name__) from error
