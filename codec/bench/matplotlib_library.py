"""matplotlib, and bjontegaard, which loads it, without a trace in the user's folders.

matplotlib makes a folder for settings and keeps a list of fonts in the user's cache. Here it has a temporary
folder while it loads, after which it asks for neither, unless the user has named one or has loaded it before.
So curves do not depend on the user's settings either.
"""

from __future__ import annotations

import os
import sys
import tempfile

_FOLDER = "MPLCONFIGDIR"

if _FOLDER not in os.environ and "matplotlib" not in sys.modules:
    with tempfile.TemporaryDirectory(prefix="vaezip-") as folder:
        os.environ[_FOLDER] = folder
        try:
            import matplotlib.font_manager
        finally:
            del os.environ[_FOLDER]

import bjontegaard  # noqa: E402
import matplotlib  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

__all__ = ["Figure", "bjontegaard", "matplotlib"]
