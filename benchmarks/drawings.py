"""What is plotted of the figures: for each script that has plots, what draws them.

Each function here takes all figures by their keys and a language, and writes with `plots.drawn`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plots import INK, MARKERS, SERIES, decimal, drawn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

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

    def points(way: str) -> dict[int, float]:
        return medians(found, {users: f"views-plot.{driver}.{users}.{way}" for users in USERS})

    draw_ways(axes, WAYS, points, language)
    axes.axhline(1, color=INK, linewidth=1, linestyle="--")
    axes.set_yscale("log")
    axes.set_yticks([0.03, 0.1, 0.3, 1])
    finish(axes, USERS, language)
    axes.set_title("sqlite3" if driver == "sqlite" else driver)
    axes.set_xlabel(NUMBER[language])


ROWS = (1, 10, 100, 1_000, 10_000, 100_000)
SCOPES = (1, 10, 100, 1_000)
BARE = {"en": "without the library = 1", "ru": "без библиотеки = 1"}
ROW_WAYS = {
    "fetch": {"en": "fetch / entities", "ru": "fetch / объекты ORM"},
    "guard": {"en": "guard / no guard", "ru": "guard / без guard"},
    "snapshot": {"en": "snapshot / pydantic", "ru": "snapshot / pydantic"},
}
MEMORY_WAYS = {
    "entities": {"en": "entities", "ru": "объекты ORM"},
    "fetch": {"en": "fetch", "ru": "fetch"},
    "stream": {"en": "stream_views", "ru": "stream_views"},
}
SCOPE_WAYS = {
    "aiosqlite": {"en": "aiosqlite, SELECT", "ru": "aiosqlite, SELECT"},
    "asyncpg": {"en": "asyncpg, SELECT", "ru": "asyncpg, SELECT"},
    "asyncpg-write": {"en": "asyncpg, UPDATE", "ru": "asyncpg, UPDATE"},
}
SERVICE_WAYS = {
    "sqlite3": {"en": "sqlite3", "ru": "sqlite3"},
    "aiosqlite": {"en": "aiosqlite", "ru": "aiosqlite"},
}
LINES = {
    "rows": ROW_WAYS,
    "memory": MEMORY_WAYS,
    "scopes": SCOPE_WAYS,
    "p99": SCOPE_WAYS,
    "services": SERVICE_WAYS,
}
TITLES = {
    "rows": {"en": "rows: time", "ru": "строки: время"},
    "memory": {"en": "rows: memory, kB", "ru": "строки: память, кБ"},
    "scopes": {"en": "scopes at once: time", "ru": "скоупы сразу: время"},
    "p99": {"en": "scopes at once: slowest 1 %", "ru": "скоупы сразу: худший 1 %"},
    "services": {"en": "services in a scope: time", "ru": "сервисы в скоупе: время"},
}


def draw_growth(found: Found, language: str) -> None:
    """Draw the costs against the number of rows, of scopes at once, and of services."""
    with drawn("growth_rows", language, (10, 4), columns=2) as (rows, memory):
        draw_lines(rows, "rows", ROWS, found, language)
        rows.set_ylabel(BARE[language])
        rows.set_yscale("log")
        rows.set_yticks([0.03, 0.1, 0.3, 1, 3, 10])
        rows.minorticks_off()
        rows.yaxis.set_major_formatter(decimal(language))
        rows.axhline(1, color=INK, linewidth=1, linestyle="--")
        draw_lines(memory, "memory", ROWS[3:], found, language)
        memory.set_yscale("log")
        memory.yaxis.set_major_formatter(decimal(language))
        for own in (rows, memory):
            own.legend()
    with drawn("growth_scopes", language, (10, 4), columns=3, sharey=True) as axes:
        for own, name in zip(axes[:2], ("scopes", "p99"), strict=True):
            draw_lines(own, name, SCOPES, found, language)
        draw_lines(axes[2], "services", range(9), found, language)
        axes[0].set_ylabel(BARE[language])
        axes[0].set_ylim(bottom=0)
        for own in axes:
            own.axhline(1, color=INK, linewidth=1, linestyle="--")
            own.legend(loc="lower right")  # where nothing is drawn


def draw_lines(axes: Axes, name: str, sizes: Sequence[int], found: Found, language: str) -> None:
    """Draw the figures of a section, a line for each of its ways."""

    def points(way: str) -> dict[int, float]:
        return medians(found, {size: f"growth-{name}.{way}.{size}" for size in sizes})

    draw_ways(axes, LINES[name], points, language)
    finish(axes, sizes, language)
    axes.set_title(TITLES[name][language])


def medians(found: Found, keys: dict[int, str]) -> dict[int, float]:
    """Return the figures that there are, by their places on the axis."""
    return {size: found[key].median for size, key in keys.items() if key in found}


def draw_ways(
    axes: Axes,
    ways: dict[str, dict[str, str]],
    points: Callable[[str], dict[int, float]],
    language: str,
) -> None:
    """Draw a line for each way."""
    for (way, names), color, marker in zip(ways.items(), SERIES, MARKERS, strict=False):
        there = points(way)
        label = names[language]
        (line,) = axes.plot(
            list(there), list(there.values()), color=color, marker=marker, label=label
        )
        if way == "dataclass":
            line.set_linewidth(2.6)


def finish(axes: Axes, sizes: Sequence[int], language: str) -> None:
    """Write the sizes below, and numbers as the language does; 0 has no place on a log axis."""
    if 0 not in sizes:
        axes.set_xscale("log")
    axes.set_xticks(sizes)
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(decimal(language))
    axes.yaxis.set_major_formatter(decimal(language))


DRAWINGS: dict[str, Callable[[Found, str], None]] = {"views": draw_views, "growth": draw_growth}
"""By the name of the script, without its ending."""


def draw(found: Found, scripts: Iterable[str]) -> None:
    """Draw the plots of these scripts, in both languages."""
    for script in sorted(set(scripts) & DRAWINGS.keys()):
        for language in ("en", "ru"):
            DRAWINGS[script](found, language)
