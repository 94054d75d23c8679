"""Every Python block of the documentation runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs import running
from tests.docs.pages import RUNS


@pytest.mark.parametrize("page", sorted(RUNS))
def test_the_blocks_of_a_page_run(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In their order, on real databases; a block that announces an error raises it."""
    monkeypatch.chdir(tmp_path)
    running.run(page)
