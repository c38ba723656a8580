from __future__ import annotations

import sys
from pathlib import Path

# What the tests share with the scripts beside them is no package.
sys.path.insert(0, str(Path(__file__).parent))
