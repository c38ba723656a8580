"""onnxruntime with its telemetry off: all that need it import it from here.

From 1.29 on its wheels report to their maker unless OPT_OUT holds when the library is first loaded: they
keep an identifier of the machine and a database below the user's cache folder, and connect to a collector.
Earlier wheels for Linux and macOS have no telemetry; those for Windows hand events to the system's tracing,
which does not look at the variable and is stopped by the call. Where the user has set the variable, or
something else has loaded onnxruntime before, that choice stands.
"""

from __future__ import annotations

import os
import sys

OPT_OUT = "ORT_DISABLE_TELEMETRY"

_OURS = not os.environ.get(OPT_OUT) and "onnxruntime" not in sys.modules
if _OURS:
    os.environ[OPT_OUT] = "1"

import onnxruntime  # noqa: E402

if _OURS:
    onnxruntime.disable_telemetry_events()

__all__ = ["OPT_OUT", "onnxruntime"]
