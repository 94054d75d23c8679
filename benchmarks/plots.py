"""Plots of the figures: SVG that is legible on light and on dark pages, in both languages.

Each plot brings its own paper, and both its paper and its ink follow `prefers-color-scheme`.
Series are told apart by colour and by marker, not by colour alone.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from figures import HERE, localised

mpl.use("svg")

from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

IMAGES = HERE.parent / "docs" / "images"
SCHEMES = {
    "paper": ("#fffffe", "#ffffff", "#1e2129"),
    "ink": ("#010101", "#24292f", "#e6e8ee"),
    "faint": ("#d0d0d1", "#d0d7de", "#454b5a"),
    "one": ("#00796c", "#00796b", "#4db6ac"),
    "two": ("#c2410d", "#c2410c", "#fb923c"),
    "three": ("#1d4ed9", "#1d4ed8", "#7aa2ff"),
    "four": ("#86198e", "#86198f", "#e879f9"),
    "five": ("#4d7c10", "#4d7c0f", "#a3e635"),
    "six": ("#b91c1d", "#b91c1c", "#f87171"),
}
"""What is drawn with, and what becomes of it on light and on dark pages."""
PAPER, INK, FAINT, *SERIES = (drawn for drawn, _, _ in SCHEMES.values())
MARKERS = ("o", "s", "^", "D", "v", "P")
LOOK = {
    "svg.fonttype": "none",
    "svg.hashsalt": "sqla_safe",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.edgecolor": INK,
    "grid.color": FAINT,
}


@contextmanager
def drawn(
    name: str, language: str, size: tuple[float, float], columns: int = 1, **options: Any
) -> Iterator[Sequence[Axes]]:
    """Give the axes of a plot, and write it as `docs/images/NAME_LANGUAGE.svg` at the end."""
    with mpl.rc_context(LOOK):
        figure, axes = plt.subplots(
            1, columns, figsize=size, squeeze=False, layout="constrained", **options
        )
        try:
            yield list(axes[0])
            path(name, language).write_text(svg(figure), encoding="utf-8")
        finally:
            plt.close(figure)


def path(name: str, language: str) -> Path:
    """Return where a plot is kept."""
    return IMAGES / f"{name}_{language}.svg"


def svg(figure: Figure) -> str:
    """Return a figure as SVG whose colours follow the reader's choice."""
    out = StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    for name, (own, _, _) in SCHEMES.items():
        text = text.replace(own, f"var(--{name})")
    text = re.sub(r"font-family: [^;\"]*", "font-family: system-ui, sans-serif", text)
    text = re.sub(r"\s*<metadata>.*</metadata>", "", text, flags=re.DOTALL)
    return re.sub(r"(<svg [^>]*>)", lambda found: found[1] + style(), text, count=1)


def style() -> str:
    """Return the colours of both schemes."""
    light, dark = (
        "".join(f"--{name}:{colours[which]};" for name, colours in SCHEMES.items())
        for which in (1, 2)
    )
    return f"<style>:root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}</style>"


def decimal(language: str, places: int | None = None) -> FuncFormatter:
    """Return how numbers beside an axis are written."""

    def written(value: float, _: object = None) -> str:
        return localised(f"{value:,g}" if places is None else f"{value:,.{places}f}", language)

    return FuncFormatter(written)
