"""What media is, by its first bytes: names and headers are only claims."""

from __future__ import annotations

from typing import Final

IMAGE_TYPES: Final = ("image/jpeg", "image/png", "image/webp", "image/gif")
AUDIO_TYPES: Final = ("audio/wav", "audio/flac", "audio/ogg", "audio/mpeg")
MEDIA_TYPES: Final = IMAGE_TYPES + AUDIO_TYPES
"""All that is decoded; anything else is `unsupported_media_type`."""

_MAGIC: Final = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
)
_RIFF: Final = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}


def sniff(data: bytes) -> str | None:
    """The media type that the first bytes show, or None where it is none of `MEDIA_TYPES`."""
    for magic, media_type in _MAGIC:
        if data.startswith(magic):
            return media_type
    if data[:4] in (b"RIFF", b"RF64"):
        return _RIFF.get(data[8:12])
    return "audio/mpeg" if _is_mp3_frame(data[:4]) else None


def _is_mp3_frame(head: bytes) -> bool:
    """A frame header of MPEG audio, layer III, in which every field is valid."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    return version != 1 and layer == 1 and head[2] >> 4 != 15 and head[2] >> 2 & 3 != 3
