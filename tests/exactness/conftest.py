from __future__ import annotations

import sys
from pathlib import Path

# The modules that tests and scripts of this folder share are not a package.
sys.path.insert(0, str(Path(__file__).parent))
