"""The `content-type` header: which form a record has, and in which charset."""

from __future__ import annotations

import encodings.aliases
import re
from email.message import Message
from functools import lru_cache
from typing import Final, NamedTuple

from service.errors import RecordError

JSON: Final = "application/json"
TEXT: Final = "text/plain"
CLOUDEVENTS: Final = "application/cloudevents+json"
_NO_TEXT: Final = ("image/", "audio/", "application/octet-stream", "application/ogg")
"""`file --mime` says `image/png; charset=binary`: bytes have no charset."""

_CODECS: Final = re.compile(
    r"ascii|utf_8|utf_16(_[bl]e)?|utf_32(_[bl]e)?|latin_1|iso8859_\d+|cp(125\d|8\d\d|437|1006|949|932|950)"
    r"|koi8_[rtu]|mac_\w+|gb2312|gbk|gb18030|hz|big5(hkscs)?|euc_\w+|shift_jis\w*|iso2022_\w+|johab|tis_620|ptcp154"
)
# Only real charsets: a codec like punycode is slow on purpose-made input, and looking up a made-up name
# costs memory for ever.
_CHARSETS: Final = {
    name: codec
    for alias, codec in encodings.aliases.aliases.items()
    if _CODECS.fullmatch(codec)
    for name in (alias, codec)
} | {"utf_8_sig": "utf_8"}


class Content(NamedTuple):
    """`media_type` lower case, `codec` a text codec or None for the default, UTF-8."""

    media_type: str
    codec: str | None = None

    @property
    def is_json(self) -> bool:
        """Plain JSON, or a format built on it."""
        kind = self.media_type
        return kind == JSON or (kind.endswith("+json") and not kind.startswith("application/cloudevents"))


DEFAULT: Final = Content(JSON)


@lru_cache(maxsize=256)
def content_of(header: str) -> Content:
    """Read a content type; empty means JSON. Raises `RecordError` invalid_event for an unknown charset."""
    if not header.strip():
        return DEFAULT
    kind, _, parameters = header.partition(";")
    kind = kind.strip().lower()
    charset = "" if kind.startswith(_NO_TEXT) else _charset(parameters)
    if not charset:
        return Content(kind)
    codec = _CHARSETS.get(re.sub(r"[^a-z0-9]+", "_", charset.lower()))
    if codec is None:
        raise RecordError("invalid", "invalid_event", "unknown charset in content-type")
    return Content(kind, None if codec == "utf_8" else codec)


def _charset(parameters: str) -> str:
    if "charset" not in parameters.lower():
        return ""
    message = Message()
    message["content-type"] = f"text/plain;{parameters}"
    return str(message.get_param("charset", "")).strip()
