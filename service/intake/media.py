"""Media as it arrives: base64 or raw bytes, told apart by what the bytes are."""

from __future__ import annotations

import binascii
from typing import Final, Literal

from engines.preprocess.sniff import MEDIA_TYPES, sniff
from service.config import Limits
from service.errors import RecordError
from service.event import Media, MediaModel

Modality = Literal["image", "audio"]
_SUPPORTED: Final = frozenset(MEDIA_TYPES) | {
    "image/jpg", "image/pjpeg", "image/x-png", "audio/wave", "audio/x-wav", "audio/vnd.wave", "audio/x-flac",
    "audio/opus", "audio/vorbis", "application/ogg", "audio/mp3", "audio/mpeg3", "audio/x-mpeg",
}  # fmt: skip
"""What a producer may call the types that are read; no claim at all is one of them."""
_REMEDY: Final = 'write {"bytes": "<base64>"}, or for `tidegate score` a path under the file\'s folder'
_URLSAFE: Final = str.maketrans("-_", "+/", " \t\r\n")


def given_media(model: MediaModel, field: Modality, limits: Limits) -> Media:
    """An item of the fields `image` or `audio`. Raises `RecordError` where it has neither."""
    claim = model.media_type or ""
    if model.data is not None:
        try:
            return raw_media(decode_base64(model.data), claim, field, limits)
        except ValueError:
            return Media(field, claim, None, fault=_fault("undecodable", "bytes are not base64"))
    if model.url is not None:
        return Media(field, claim, None, fault=_fault("url_not_allowed", "media by url is off"))
    raise RecordError("invalid", "invalid_event", f"{field}: neither bytes nor url; {_REMEDY}")


def raw_media(data: bytes, claim: str, modality: Modality, limits: Limits) -> Media:
    """An item by its bytes: what they are wins over `claim` and over the field it came in."""
    if not data:
        return Media(modality, claim, data, fault=_fault("undecodable", "empty"))
    media_type = sniff(data)
    if media_type is None:
        return Media(modality, claim, data, fault=_unknown(claim))
    modality = "image" if media_type.startswith("image/") else "audio"
    limit = limits.image_bytes if modality == "image" else limits.audio_bytes
    fault = _fault("media_too_large", f"{len(data)} bytes, limit {limit}") if len(data) > limit else None
    return Media(modality, media_type, data, fault=fault)


def decode_base64(text: str) -> bytes:
    """Standard or URL-safe base64, padded or not, with or without line breaks. Raises `ValueError`."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        plain = text.translate(_URLSAFE).rstrip("=")
        return binascii.a2b_base64(plain + "=" * (-len(plain) % 4), strict_mode=True)


def _unknown(claim: str) -> RecordError:
    """Bytes of no type we read: broken where they should be one, else of a type that nobody promised."""
    kind = claim.partition(";")[0].strip().lower()
    if not kind or kind in _SUPPORTED:
        return _fault("undecodable", f"not {kind or 'media'}, by its first bytes")
    return _fault("unsupported_media_type", "unknown first bytes")


def _fault(reason: str, detail: str) -> RecordError:
    return RecordError("media", reason, detail)
