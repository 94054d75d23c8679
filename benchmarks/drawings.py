"""What is plotted of the figures: for each script that has plots, what draws them.

Each function here takes all figures by their keys and a language, and writes with `plots.drawn`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from figures import Figure

DRAWINGS: dict[str, Callable[[dict[str, Figure], str], None]] = {}
"""By the name of the script, without its ending."""


def draw(found: dict[str, Figure], scripts: set[str]) -> None:
    """Draw the plots of these scripts, in both languages."""
    for script in sorted(scripts & DRAWINGS.keys()):
        for language in ("en", "ru"):
            DRAWINGS[script](found, language)
