"""`python -m avatar_bot` with trainings that take two seconds instead of eight."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "examples"))

from avatar_bot.__main__ import main
from avatar_bot.trainer import Trainer

if __name__ == "__main__":
    pace = Trainer.__init__.__kwdefaults__
    assert pace is not None
    pace["step_seconds"] = 0.2
    sys.exit(main([]))
