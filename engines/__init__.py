"""Models and inference; knows nothing of Kafka, and calls nobody.

ONNX Runtime and OpenVINO send usage data to their makers, and keep an id for it in the user's home, from the
moment they are imported: that is switched off here, before any module of ours can import them.
"""

import os
import sys

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# OpenVINO has no such switch, but a stub of its own for where this package cannot be imported.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
