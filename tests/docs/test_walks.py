"""The tutorials, walked by somebody who does only what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, read

WALKS = {"docs/en/tutorial/bot.md": "bot.py", "docs/en/tutorial/script.md": "shop.py"}
_BLOCK = re.compile(r"^```(python|sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", WALKS)
def test_a_tutorial_prints_what_it_says(page: str, tmp_path: Path) -> None:
    """Its blocks, pasted into one file from top to bottom, run and print the text of the page."""
    blocks = _BLOCK.findall(read(page))
    script = "\n\n".join(text for kind, text in blocks if kind == "python")
    (tmp_path / WALKS[page]).write_text(script, encoding="utf-8")
    assert ("sh", f"python {WALKS[page]}\n") in blocks
    assert _run(tmp_path, WALKS[page]) == next(text for kind, text in blocks if kind == "text")


def _run(folder: Path, name: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    environment.pop("BOT_TOKEN", None)
    done = subprocess.run(
        [sys.executable, name],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=100,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout
