"""The pages of the rules: one for each, whose first example is found and whose second is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sqla_safe.checker._facts import extract
from sqla_safe.checker._project import findings, link
from sqla_safe.checker.rules import RULES

ROOT = Path(__file__).parents[2]
FOLDERS = [ROOT / "docs" / language / "reference" / "rules" for language in ("en", "ru")]
ERRORS = ROOT / "docs" / "en" / "reference" / "errors"
WORLD = ROOT / "tests" / "checker" / "samples" / "world.py"
HIDDEN = re.compile(r"<!-- invisible-code-block: python\n(.*?)-->", re.DOTALL)
SHOWN = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def page(code: str) -> str:
    """Return the English page of a rule."""
    return (FOLDERS[0] / f"{code}.md").read_text(encoding="utf-8")


def found(code: str, number: int) -> set[tuple[str, str]]:
    """Return what the checker finds in one example of a page: codes and severities."""
    text = page(code)
    hidden = HIDDEN.search(text)
    assert hidden is not None
    source = hidden[1] + SHOWN.findall(text)[number]
    facts = extract("tests/checker/samples/example.py", source.encode())
    world = extract("tests/checker/samples/world.py", WORLD.read_bytes())
    return {(each.code, each.severity) for each in findings(link([world, facts]), facts)}


@pytest.mark.parametrize("folder", FOLDERS, ids=["en", "ru"])
def test_the_pages_are_the_rules(folder: Path) -> None:
    """Each rule has its page in both languages, and no page is left over."""
    assert {path.stem for path in folder.glob("SQS*.md")} == set(RULES)


@pytest.mark.parametrize("folder", FOLDERS, ids=["en", "ru"])
def test_the_index_has_every_rule_in_order(folder: Path) -> None:
    """One line for each, which leads to its page."""
    text = (folder / "index.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| \[(SQS\d+)\]\(\1\.md\)", text, re.MULTILINE) == list(RULES)


@pytest.mark.parametrize("code", RULES)
def test_a_page_says_what_the_rule_says(code: str) -> None:
    """The title is the summary, and the name stands below it."""
    assert page(code).startswith(f"# {code}: {RULES[code].summary}\n\n`{RULES[code].name}`\n")


@pytest.mark.parametrize("code", RULES)
def test_the_failing_example_is_found(code: str) -> None:
    """By the rule whose page it is."""
    assert code in {each for each, _ in found(code, 0)}


@pytest.mark.parametrize("code", RULES)
def test_the_mended_example_is_clean(code: str) -> None:
    """No rule has anything to say about it."""
    assert found(code, 1) == set()


@pytest.mark.parametrize("code", RULES)
def test_rules_and_run_time_errors_link_to_each_other(code: str) -> None:
    """A rule names the codes that explain the same bug at run time, and they name the rule."""
    for runtime in RULES[code].runtime:
        assert f"(../errors/{runtime}.md)" in page(code)
        text = (ERRORS / f"{runtime}.md").read_text(encoding="utf-8")
        assert f"(../rules/{code}.md)" in text
