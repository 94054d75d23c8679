"""`python -m avatar_bot` for loaded machines.

Trainings take two seconds instead of eight, and an album is waited for as long: so far apart may
two processes be that store its photos.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "examples"))

from avatar_bot.__main__ import main
from avatar_bot.handlers.avatar.albums import Albums
from avatar_bot.trainer import Trainer

if __name__ == "__main__":
    pace = Trainer.__init__.__kwdefaults__
    assert pace is not None
    pace["step_seconds"] = 0.2
    Albums.__init__.__defaults__ = (2.0,)
    sys.exit(main([]))
