"""The runner's arithmetic and what it reads and writes, without a broker: python3 -m unittest, see `cargo xtask unit`."""

import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent.parent
sys.path.append(str(BENCH.parent / "compat"))
