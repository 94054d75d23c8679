"""The figures in the documentation are those that were measured, in both languages."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

from tests.docs.pages import english

ROOT = Path(__file__).parents[2]
COST = ("docs/en/explanation/cost.md", "docs/ru/explanation/cost.md")
NUMBER = re.compile(r"\d[\d.,\u00a0]*\d|\d")


def test_the_pages_show_the_last_results(pages: ModuleType) -> None:
    """Nobody has written a figure by hand, and no page was forgotten."""
    results = pages.load()
    marked = list(pages.marked())
    assert len(marked) >= len(COST) + 2
    for path, language in marked:
        assert pages.written(path, results, language) == path.read_text(encoding="utf-8"), path


def test_every_claim_was_measured(pages: ModuleType, figures: ModuleType) -> None:
    """What is claimed has a figure, unless the run says why not."""
    missing = figures.claims().keys() - pages.figures(pages.load()).keys()
    assert missing == set() or pages.skipped(pages.load())


def test_every_section_is_on_the_page_of_costs(figures: ModuleType) -> None:
    """With its script, in both languages."""
    for page in COST:
        text = (ROOT / page).read_text(encoding="utf-8")
        for name, section in figures.sections().items():
            assert f"<!-- figures: {name} -->" in text
            assert f"benchmarks/{section.script})" in text


def test_both_languages_have_the_same_figures(pages: ModuleType) -> None:
    """Number for number, whatever stands between them."""
    texts = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for path, _ in pages.marked()
    }
    for name, text in texts.items():
        assert numbers(pages, text) == numbers(pages, texts[english(name)])


def numbers(pages: ModuleType, text: str) -> list[float]:
    """Return the numbers in the cells of the tables between markers."""
    tables = "".join(found[3] for found in pages.MARKED.finditer(text))
    rows = [line for line in tables.splitlines() if line.startswith("|")]
    cells = [cell for row in rows[2:] for cell in row.split("|")[2:]]
    return [value(found) for cell in cells for found in NUMBER.findall(cell)]


def value(text: str) -> float:
    """Return a number, as either language writes it."""
    plain = text.replace("\u00a0", "").rstrip(".,")
    if re.search(r",\d{3}(?!\d)", plain) and "." not in plain:
        return float(plain.replace(",", ""))
    return float(re.sub(r",(?=\d{3}\b)", "", plain).replace(",", "."))


@pytest.mark.parametrize("language", ["en", "ru"])
def test_a_missed_target_says_so(pages: ModuleType, figures: ModuleType, language: str) -> None:
    """Beside the target; a met one says nothing, and neither does one that only rounds to it."""
    claim = figures.Claim("a", "b", at_most=1.0)
    missed = pages.WORDS["missed"][language]
    assert pages.aim(claim, 1.01, language).endswith(missed)
    assert not pages.aim(claim, 1.004, language).endswith(missed)
    lines = figures.Claim("a", "b", unit="lines/s", at_least=40_000)
    assert pages.aim(lines, 39_999, language).endswith(missed)
    assert not pages.aim(lines, 40_000, language).endswith(missed)


def test_numbers_are_written_as_the_language_does(pages: ModuleType) -> None:
    """With a comma in Russian, and a space only where there are five figures or more."""
    assert pages.number(1234.5, "en") == "1,234.50"
    assert pages.number(1234.5, "ru") == "1234,50"
    assert pages.number(123456, "ru", "lines/s") == "123\u00a0456 строк/с"
    assert pages.duration(0.0000815, "ru") == "81,5 мкс"
    assert pages.duration(0.0000815, "en") == "81.5 µs"


def test_what_was_not_measured_is_not_there(pages: ModuleType, figures: ModuleType) -> None:
    """A claim without a figure says that it has none."""
    assert pages.cells(figures.Claim("a", "b"), None, "en")[1] == "not measured"


@pytest.mark.parametrize("language", ["en", "ru"])
def test_a_plot_follows_the_readers_colours(
    pages: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    """Each colour is one of the scheme's, for light pages and for dark ones."""
    pytest.importorskip("matplotlib")
    import drawings
    import plots

    monkeypatch.setattr(plots, "IMAGES", tmp_path)
    drawings.draw_views(pages.figures(pages.load()), language)
    text = plots.path("views", language).read_text(encoding="utf-8")
    style, drawing = re.search(r"<style>:root(.*?)</style>(.*)", text, re.DOTALL).groups()
    assert "prefers-color-scheme:dark" in style
    assert set(re.findall(r"var\(--(\w+)\)", drawing)) == set(plots.SCHEMES)
    assert not re.search(r"#[0-9a-f]{6}\b", drawing)


def test_the_plots_are_those_of_the_last_results(
    pages: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every plot that is drawn is in the documentation, drawn from the same figures."""
    pytest.importorskip("matplotlib")
    import drawings
    import plots

    kept = plots.IMAGES
    monkeypatch.setattr(plots, "IMAGES", tmp_path)
    drawings.draw(pages.figures(pages.load()), pages.load())
    for drawn in tmp_path.iterdir():
        assert points(drawn) == points(kept / drawn.name), drawn.name


def points(path: Path) -> list[str]:
    """Return where the lines of a plot lead; what a newer library adds around them may differ."""
    text = path.read_text(encoding="utf-8")
    return sorted(
        re.findall(r'd="(M [^"]*)" clip-path="[^"]*" style="fill: none; stroke: var', text)
    )
