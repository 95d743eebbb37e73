"""CUDA's runtime, as far as serving needs it: devices, streams, events, memory and graphs.

Nothing of it is imported before the first call. Every call's status is checked and raised as an EngineError
in words. Calls that wait let go of the interpreter lock. A thread works on the device that it last set.
"""

from engines.cuda.buffers import DeviceBuffer, Pinned, clear, copy_in, copy_out
from engines.cuda.devices import activate, devices, memory, synchronise
from engines.cuda.runtime import MORE_MEMORY, CaptureBroken, missing
from engines.cuda.streams import ALONE, Event, Graph, Stream

__all__ = [
    "ALONE",
    "MORE_MEMORY",
    "CaptureBroken",
    "DeviceBuffer",
    "Event",
    "Graph",
    "Pinned",
    "Stream",
    "activate",
    "clear",
    "copy_in",
    "copy_out",
    "devices",
    "memory",
    "missing",
    "synchronise",
]
