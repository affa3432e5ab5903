"""Record the toy pair's answers anew: `python tests/gold/record.py`. Say in the commit what changed them and why."""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.gold.smoke import GOLD, collect, write

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        rows = collect(Path(folder))
    write(rows)
    sys.stdout.write(f"{len(rows)} answers in {GOLD}\n")
