"""What the benchmarks hand on: a figure for each claim of the documentation.

A script yields a `Figure` for each of its claims, a `Fact` for what else belongs beside them (a
server's version), and a `Skipped` for what this machine cannot measure, and ends in `run`. What a
figure claims, in both languages, and the target it is held to stand in `claims.toml`, under its
key. `bench.py` collects the figures of all scripts, `pages.py` writes them into the documentation.
"""

from __future__ import annotations

import argparse
import statistics
import tomllib
from collections.abc import Iterator  # noqa: TC003  (msgspec reads annotations at run time)
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from timing import Turn

    Measure = Callable[[argparse.Namespace], "Iterator[Figure | Fact | Skipped]"]

HERE = Path(__file__).parent
QUICK = 2
"""The rounds of a run that only shows that a script works."""


class Figure(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """A median with its quartiles, over rounds of one run.

    Attributes:
        key: Names the claim in `claims.toml`: its section, a dot, its own name, and in a section
            with columns another dot and the column.
        median: Of the ratios, or of whatever the claim's unit says.
        low: The first quartile; None for what is not spread.
        high: The third quartile.
        rounds: How many there were.
        ours: The median seconds of our side.
        theirs: The median seconds of what it is divided by.
    """

    key: str
    median: float
    low: float | None = None
    high: float | None = None
    rounds: int = 1
    ours: float | None = None
    theirs: float | None = None


class Fact(msgspec.Struct, frozen=True, tag=True):
    """Something to know beside the figures, such as a server's version."""

    name: str
    value: str


class Skipped(msgspec.Struct, frozen=True, tag=True):
    """What could not be measured here, and why, in one line."""

    what: str
    why: str

    def __str__(self) -> str:
        """Return the line."""
        return f"skipped: {self.what}: {self.why}"


Found = Figure | Fact | Skipped


class Texts(msgspec.Struct, frozen=True):
    """The same in both languages."""

    en: str
    ru: str

    def __getitem__(self, language: str) -> str:
        """Return it in one of them."""
        return str(getattr(self, language))


class Claim(Texts, frozen=True, forbid_unknown_fields=True):
    """What a figure says, and what it should be.

    Attributes:
        unit: `ratio`, or what the median counts: `lines/s`, `bytes`, `%`, `MB`.
        at_most: The target, where less is better; one for each column of a section that has them.
        at_least: The target, where more is better.
        headline: Whether the README shows it; of a section with columns, which of them.
    """

    unit: str = "ratio"
    at_most: float | dict[str, float] | None = None
    at_least: float | None = None
    headline: bool | list[str] = False

    def of(self, column: str, title: Texts) -> Claim:
        """Return what it says of one column."""
        most = self.at_most.get(column) if isinstance(self.at_most, dict) else self.at_most
        shown = column in self.headline if isinstance(self.headline, list) else self.headline
        en, ru = f"{self.en}: {title.en}", f"{self.ru}: {title.ru}"
        return Claim(en, ru, self.unit, most, self.at_least, shown)

    @property
    def target(self) -> float | None:
        """The target of a single figure."""
        assert not isinstance(self.at_most, dict)
        return self.at_least if self.at_most is None else self.at_most

    def met(self, median: float) -> bool:
        """Tell whether a median, as it is shown, is what it should be."""
        assert not isinstance(self.at_most, dict)
        most, least = self.at_most, self.at_least
        return (most is None or round(median, 2) <= most) and (least is None or median >= least)


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a script measures, and the claims about it, by name.

    Attributes:
        script: The script's file.
        title: What the section is about.
        of: What is divided by what.
        claims: What is said; a row of a table each.
        columns: Where each row has several figures, what tells them apart.
    """

    script: str
    title: Texts
    of: Texts
    claims: dict[str, Claim]
    columns: dict[str, Texts] = {}

    def single(self) -> dict[str, Claim]:
        """Return a claim for each figure: of each row, or of each row and column."""
        if not self.columns:
            return self.claims
        return {
            f"{name}.{column}": claim.of(column, title)
            for name, claim in self.claims.items()
            for column, title in self.columns.items()
        }


def sections() -> dict[str, Section]:
    """Return what the documentation claims, in its order."""
    told = tomllib.loads((HERE / "claims.toml").read_text(encoding="utf-8"))
    return msgspec.convert(told, dict[str, Section])


def claims() -> dict[str, Claim]:
    """Return the claim of each figure, by its key."""
    return {
        f"{name}.{own}": claim
        for name, section in sections().items()
        for own, claim in section.single().items()
    }


def from_turns(key: str, taken: Sequence[Turn], units: int = 1) -> Figure:
    """Return the figure of a block between bare ones; each block does so many units."""
    return from_ratios(
        key,
        [turn.ratio for turn in taken],
        ours=statistics.median(turn.own for turn in taken) / units,
        theirs=statistics.median(turn.before for turn in taken) / units,
    )


def from_pairs(key: str, own: Sequence[float], base: Sequence[float]) -> Figure:
    """Return the figure of two ways that took turns."""
    return from_ratios(
        key,
        [mine / its for mine, its in zip(own, base, strict=True)],
        ours=statistics.median(own),
        theirs=statistics.median(base),
    )


def from_ratios(
    key: str,
    ratios: Sequence[float],
    *,
    ours: float | None = None,
    theirs: float | None = None,
) -> Figure:
    """Return the figure of values, one of each round."""
    low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return Figure(key, median, low, high, len(ratios), ours, theirs)


# --- a script ----------------------------------------------------------------


def parser(description: str | None, rounds: int) -> argparse.ArgumentParser:
    """Return the options that every script has; a script may add its own."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--rounds", type=int, default=rounds, help=f"how many (default: {rounds})")
    made.add_argument("--quick", action="store_true", help="only see that it works")
    made.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    return made


def run(options: argparse.ArgumentParser, measure: Measure) -> None:
    """Measure; print each figure, and write all so far, as soon as it is there."""
    chosen = options.parse_args()
    if chosen.quick:
        chosen.rounds = QUICK
    found: list[Found] = []
    for one in measure(chosen):
        found.append(one)
        print(line(one), flush=True)
        if chosen.json:
            chosen.json.write_bytes(msgspec.json.encode(found))


def line(one: Found) -> str:
    """Return what a terminal shows of it."""
    if not isinstance(one, Figure):
        return str(one) if isinstance(one, Skipped) else f"{one.name}: {one.value}"
    spread = "" if one.low is None else f"  ({one.low:.3f}..{one.high:.3f})"
    both = "" if one.ours is None else f"  {span(one.ours)} / {span(one.theirs or 0)}"
    return f"{one.key:<48} {one.median:>10,.3f}{spread}{both}"


def span(seconds: float) -> str:
    """Return seconds in a unit that suits them."""
    for size, unit in ((1, "s"), (1e-3, "ms")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} \N{MICRO SIGN}s"


def localised(text: str, language: str) -> str:
    """Return a number, written with `,` and `.`, as a language writes it."""
    if language != "ru":
        return text
    whole, _, rest = text.partition(".")
    parts = whole.split(",")
    space = "\N{NO-BREAK SPACE}" if len(parts) > 2 or len(parts[0]) > 1 else ""
    return space.join(parts) + (f",{rest}" if rest else "")
