"""What is plotted of the figures: for each script that has plots, what draws them.

Each function here takes all figures by their keys and a language, and writes with `plots.drawn`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plots import INK, MARKERS, SERIES, decimal, drawn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from figures import Figure
    from matplotlib.axes import Axes

    Found = dict[str, Figure]

DRIVERS = ("sqlite", "aiosqlite", "psycopg", "asyncpg")
USERS = (1, 100, 1_000)
WAYS = {
    "resolve": {"en": "pydantic-resolve", "ru": "pydantic-resolve"},
    "sqlmodel": {"en": "SQLModel", "ru": "SQLModel"},
    "convert": {"en": "selectinload, msgspec", "ru": "selectinload, msgspec"},
    "H": {"en": "Core by hand", "ru": "Core руками"},
    "R": {"en": "bare driver, no objects", "ru": "голый драйвер, без объектов"},
    "dataclass": {"en": "view, frozen dataclass", "ru": "представление, замороженный dataclass"},
}
TIME = {
    "en": "time, selectinload + pydantic = 1",
    "ru": "время, selectinload + pydantic = 1",
}
NUMBER = {"en": "users", "ru": "пользователей"}


def draw_views(found: Found, language: str) -> None:
    """Draw what each way takes of the time of entities that pydantic reads, on each driver."""
    size = (10, 4.4)
    with drawn("views", language, size, columns=len(DRIVERS), sharey=True) as axes:
        for own, driver in zip(axes, DRIVERS, strict=True):
            draw_driver(own, driver, found, language)
        axes[0].set_ylabel(TIME[language])
        handles, labels = axes[0].get_legend_handles_labels()
        figure = axes[0].figure
        figure.legend(handles, labels, loc="outside lower center", ncols=3)


def draw_driver(axes: Axes, driver: str, found: Found, language: str) -> None:
    """Draw the ways on one driver."""
    for (way, names), color, marker in zip(WAYS.items(), SERIES, MARKERS, strict=True):
        points = {users: found.get(f"views-plot.{driver}.{users}.{way}") for users in USERS}
        there = {users: point.median for users, point in points.items() if point}
        width = 2.6 if way == "dataclass" else 1.4
        label = names[language]
        xs, ys = list(there), list(there.values())
        axes.plot(xs, ys, color=color, marker=marker, label=label, linewidth=width)
    axes.axhline(1, color=INK, linewidth=1, linestyle="--")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(USERS)
    axes.set_yticks([0.03, 0.1, 0.3, 1])
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(decimal(language))
    axes.yaxis.set_major_formatter(decimal(language))
    axes.set_title("sqlite3" if driver == "sqlite" else driver)
    axes.set_xlabel(NUMBER[language])


DRAWINGS: dict[str, Callable[[Found, str], None]] = {"views": draw_views}
"""By the name of the script, without its ending."""


def draw(found: Found, scripts: Iterable[str]) -> None:
    """Draw the plots of these scripts, in both languages."""
    for script in sorted(set(scripts) & DRAWINGS.keys()):
        for language in ("en", "ru"):
            DRAWINGS[script](found, language)
