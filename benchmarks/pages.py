"""The figures in the documentation, in both languages, between markers that stay in the pages.

``<!-- figures: NAME -->`` and ``<!-- /figures -->`` hold a table: of a section of `claims.toml`;
``headlines`` those that the README shows; ``home`` a few for the first page of the documentation;
``machine`` what all was measured on. Run ``python
benchmarks/pages.py`` to write the tables anew from `results.json`.
"""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from figures import (
    HERE,
    Claim,
    Fact,
    Figure,
    Found,
    Section,
    Skipped,
    claims,
    localised,
    sections,
    span,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = HERE.parent
RESULTS = HERE / "results.json"
LANGUAGES = ("en", "ru")
MARKED = re.compile(r"(?<=<!-- figures: )([\w-]+)( -->\n)(.*?)(?=<!-- /figures -->)", re.DOTALL)

Languages = dict[str, str]
HEADS: dict[str, Languages] = {
    "claim": {"en": "", "ru": ""},
    "median": {"en": "measured", "ru": "измерено"},
    "quartiles": {"en": "quartiles", "ru": "квартили"},
    "target": {"en": "target", "ru": "цель"},
    "both": {"en": "ours / theirs", "ru": "наше / чужое"},
    "script": {"en": "script", "ru": "скрипт"},
}
WORDS: dict[str, Languages] = {
    "measured": {"en": "Measured on", "ru": "Измерено"},
    "cores": {"en": "cores", "ru": "ядер"},
    "memory": {"en": "memory", "ru": "память"},
    "load": {"en": "load average before each script", "ru": "нагрузка перед каждым скриптом"},
    "to": {"en": " to ", "ru": "\N{EN DASH}"},
    "missed": {"en": "missed", "ru": "не достигнута"},
    "by": {"en": "Measured by", "ru": "Измеряет"},
    "absent": {"en": "not measured", "ru": "не измерено"},
}
UNITS: dict[str, Languages] = {
    "ratio": {"en": "", "ru": ""},
    "bytes": {"en": " bytes", "ru": " байт"},
    "lines/s": {"en": " lines/s", "ru": " строк/с"},
    "%": {"en": " %", "ru": " %"},
    "MB": {"en": " MB", "ru": " МБ"},
    "kB": {"en": " kB", "ru": " кБ"},
}
HOME = (
    "scopes.aiosqlite.scope",
    "scopes.sqlite3.scope",
    "freeze.snapshot.100",
    "views.asyncpg.100.P",
    "guard.load.raise",
)
"""What the first page of the documentation shows."""
SPANS: dict[str, Languages] = {
    "s": {"en": "s", "ru": "с"},
    "ms": {"en": "ms", "ru": "мс"},
    "\N{MICRO SIGN}s": {"en": "\N{MICRO SIGN}s", "ru": "мкс"},
}


class Measured(msgspec.Struct, frozen=True):
    """What a script has found, and where and when."""

    date: str
    load: float
    seconds: float
    hardware: dict[str, str]
    software: dict[str, str]
    found: list[Found]

    def facts(self) -> dict[str, str]:
        """Return the versions, those included that the script has found out."""
        return self.software | {one.name: one.value for one in self.found if isinstance(one, Fact)}


Results = dict[str, Measured]
"""By the name of the script, without its ending."""


def load() -> Results:
    """Return what was measured last."""
    return msgspec.json.decode(RESULTS.read_bytes(), type=Results)


def save(results: Results) -> None:
    """Keep what was measured."""
    text = msgspec.json.format(msgspec.json.encode(results), indent=1)
    RESULTS.write_bytes(text + b"\n")


def figures(results: Results) -> dict[str, Figure]:
    """Return all figures by their keys."""
    found = [one for measured in results.values() for one in measured.found]
    return {one.key: one for one in found if isinstance(one, Figure)}


def skipped(results: Results) -> list[Skipped]:
    """Return what could not be measured."""
    found = [one for measured in results.values() for one in measured.found]
    return [one for one in found if isinstance(one, Skipped)]


# --- numbers -----------------------------------------------------------------


def number(value: float, language: str, unit: str = "ratio") -> str:
    """Return a number as a language writes it: ratios with two places, others whole."""
    text = f"{value:,.2f}" if unit == "ratio" else f"{value:,.0f}"
    return localised(text, language) + UNITS[unit][language]


def duration(seconds: float, language: str) -> str:
    """Return seconds as a language writes them."""
    amount, _, unit = span(seconds).partition(" ")
    return f"{localised(amount, language)} {SPANS[unit][language]}"


def aim(claim: Claim, median: float | None, language: str) -> str:
    """Return the target, and whether it was missed."""
    if claim.target is None:
        return ""
    sign = (
        "\N{LESS-THAN OR EQUAL TO}" if claim.at_most is not None else "\N{GREATER-THAN OR EQUAL TO}"
    )
    text = f"{sign} {number(claim.target, language, claim.unit)}"
    return text if median is None or claim.met(median) else f"{text}, {WORDS['missed'][language]}"


# --- tables ------------------------------------------------------------------


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    titles = list(heads)
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cells(claim: Claim, figure: Figure | None, language: str) -> list[str]:
    """Return the row of a claim: what it says, measured, quartiles, target, both sides."""
    if figure is None:
        return [claim[language], WORDS["absent"][language], "", aim(claim, None, language), ""]
    spread = both = ""
    if figure.low is not None and figure.high is not None:
        ends = [number(end, language, claim.unit) for end in (figure.low, figure.high)]
        spread = WORDS["to"][language].join(ends)
    if figure.ours is not None and figure.theirs is not None:
        both = " / ".join(duration(each, language) for each in (figure.ours, figure.theirs))
    median = number(figure.median, language, claim.unit)
    return [claim[language], median, spread, aim(claim, figure.median, language), both]


def head(language: str, *names: str) -> list[str]:
    """Return the titles of columns."""
    return [HEADS[name][language] for name in names]


LIST = ("claim", "median", "quartiles", "target", "both")


def listed(name: str, section: Section, found: dict[str, Figure], language: str) -> str:
    """Return the table of a section whose claims have one figure each."""
    rows = [
        cells(claim, found.get(f"{name}.{own}"), language) for own, claim in section.claims.items()
    ]
    return table(head(language, *LIST), rows)


def crossed(name: str, section: Section, found: dict[str, Figure], language: str) -> str:
    """Return the table of a section with columns."""
    rows = []
    for own, claim in section.claims.items():
        each = {column: found.get(f"{name}.{own}.{column}") for column in section.columns}
        row = [
            cell(claim.of(column, section.columns[column]), figure, language)
            for column, figure in each.items()
        ]
        rows.append([claim[language], *row])
    return table(["", *(title[language] for title in section.columns.values())], rows)


def cell(claim: Claim, figure: Figure | None, language: str) -> str:
    """Return a figure, with its target where it has one."""
    if figure is None:
        return "\N{EM DASH}"
    text = number(figure.median, language, claim.unit)
    aimed = aim(claim, figure.median, language)
    return f"{text} ({aimed})" if aimed else text


def section_block(name: str, results: Results, language: str, page: Path) -> str:
    """Return the table of a section, and the script that has measured it."""
    section = sections()[name]
    show = crossed if section.columns else listed
    said = f"{section.of[language].strip()} {WORDS['by'][language]} {linked(section, page)}."
    return f"{said}\n\n{show(name, section, figures(results), language)}"


def linked(section: Section, page: Path) -> str:
    """Return a link from a page to the script of a section."""
    return f"[{section.script}]({os.path.relpath(HERE / section.script, page.parent)})"


def headlines(results: Results, language: str, page: Path) -> str:
    """Return the table of what the README shows."""
    found = figures(results)
    rows = [
        [
            *titled(section, cells(claim, found.get(f"{name}.{own}"), language), language),
            linked(section, page),
        ]
        for name, section in sections().items()
        for own, claim in section.single().items()
        if claim.headline
    ]
    return table(head(language, *LIST, "script"), rows)


def home(results: Results, language: str, _page: Path) -> str:
    """Return the table of the first page: a few claims, without their spread."""
    found, claimed, known = figures(results), claims(), sections()
    rows = [
        titled(
            known[key.partition(".")[0]], cells(claimed[key], found.get(key), language), language
        )
        for key in HOME
    ]
    rows = [row[:2] for row in rows]
    return table(head(language, "claim", "median"), rows)


def titled(section: Section, row: list[str], language: str) -> list[str]:
    """Say of which section a row is."""
    return [f"{section.title[language]}: {row[0]}", *row[1:]]


def everything(results: Results, language: str = "en") -> str:
    """Return the one table of all claims of these scripts, with the script of each."""
    found = figures(results)
    rows = [
        [*titled(section, cells(claim, found.get(f"{name}.{own}"), language), language), script]
        for name, section in sections().items()
        if Path(script := section.script).stem in results
        for own, claim in section.single().items()
    ]
    return table(head(language, *LIST, "script"), rows)


def machine(results: Results, language: str) -> str:
    """Return on what, with what and when the figures were measured."""
    return "".join(where(same, language) for same in alike(results))


def alike(results: Results) -> list[Results]:
    """Return the results in groups of one machine with the same versions."""
    groups: list[Results] = []
    for name, own in results.items():
        for group in groups:
            other = next(iter(group.values()))
            if (other.hardware, other.software) == (own.hardware, own.software):
                group[name] = own
                break
        else:
            groups.append({name: own})
    return groups


def where(results: Results, language: str) -> str:
    """Return the dates, the machine and the versions of results from one machine."""
    words = {name: word[language] for name, word in WORDS.items()}
    own = next(iter(results.values()))
    facts = {name: value for each in results.values() for name, value in each.facts().items()}
    versions = ", ".join(f"{name} {value}" for name, value in facts.items() if name != "system")
    dates = ", ".join(sorted({each.date for each in results.values()}))
    loads = [number(each(one.load for one in results.values()), language) for each in (min, max)]
    parts = [
        f"{own.hardware['processor']}, {words['cores']}: {own.hardware['cores']}",
        f"{words['memory']}: {own.hardware['memory']}",
        own.software["system"],
        versions,
        f"{words['load']}: {words['to'].join(loads)}",
    ]
    return f"{words['measured']} {dates} ({', '.join(results)}): {'; '.join(parts)}.\n"


SUMMARIES = {"headlines": headlines, "home": home}
"""Tables of claims from several sections, by the names of their markers."""


# --- pages -------------------------------------------------------------------


def block(name: str, results: Results, language: str, page: Path) -> str:
    """Return what stands between the markers of this name on a page."""
    if name == "machine":
        return machine(results, language)
    show = SUMMARIES.get(name) or partial(section_block, name)
    return show(results, language, page)


def marked() -> Iterator[tuple[Path, str]]:
    """Give each page that has markers, with its language."""
    for path in sorted([*ROOT.glob("README*.md"), *ROOT.glob("docs/*/**/*.md")]):
        if MARKED.search(path.read_text(encoding="utf-8")):
            russian = path.is_relative_to(ROOT / "docs" / "ru") or path.name.endswith(".ru.md")
            yield path, "ru" if russian else "en"


def written(path: Path, results: Results, language: str) -> str:
    """Return a page's text with the tables of these results."""
    return MARKED.sub(
        lambda found: f"{found[1]}{found[2]}\n{block(found[1], results, language, path)}\n",
        path.read_text(encoding="utf-8"),
    )


def write(results: Results) -> None:
    """Write the tables into the pages."""
    for path, language in marked():
        path.write_text(written(path, results, language), encoding="utf-8")
        print(f"written: {os.path.relpath(path)}")


if __name__ == "__main__":
    write(load())
