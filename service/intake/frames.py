"""What passes between the daemon and a decode worker: a fixed header, then raw bytes."""

from __future__ import annotations

import struct
from typing import Final

REQUEST: Final = struct.Struct("<BI")
"""modality (index in `MODALITY`), payload bytes: the item as it came."""

REPLY: Final = struct.Struct("<BBHI")
"""status, truncated, rows, payload bytes: rows of uint8 pixels or int16 samples, or `reason NUL detail`."""

MODALITY: Final = ("image", "audio")
DECODED, FAILED, READY = range(3)
