from __future__ import annotations

import sys
from pathlib import Path

# The targets are not a package, because scripts run them too.
sys.path.insert(0, str(Path(__file__).parent))
