"""The sample files: marked lines are found with that rule and severity, and no others are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sqla_safe.checker._facts import extract
from sqla_safe.checker._project import findings, link
from sqla_safe.checker.rules import RULES

SAMPLES = Path(__file__).parent / "samples"
WORLD = "tests/checker/samples/world.py"
MARK = re.compile(r"\b(error|warning|info): (SQS\d+)")


def found(name: str) -> set[tuple[int, str, str]]:
    """Return what the checker finds in a sample, with its line."""
    source = (SAMPLES / name).read_bytes()
    facts = extract(f"tests/checker/samples/{name}", source)
    project = link([extract(WORLD, (SAMPLES / "world.py").read_bytes()), facts])
    return {(each.line, each.severity, each.code) for each in findings(project, facts)}


def marked(name: str) -> set[tuple[int, str, str]]:
    """Return the marks of a sample."""
    lines = (SAMPLES / name).read_text(encoding="utf-8").splitlines()
    return {(at, *mark) for at, line in enumerate(lines, 1) for mark in MARK.findall(line)}


@pytest.mark.parametrize("code", RULES)
def test_a_rule_finds_what_is_marked_and_nothing_else(code: str) -> None:
    """Line by line, with the severity that follows from the facts."""
    name = f"{code.lower()}.py"
    assert found(name) == marked(name)


@pytest.mark.parametrize("code", RULES)
def test_a_sample_shows_its_rule(code: str) -> None:
    """Each rule has a sample that marks it at least once, and says what it is in the same words."""
    name = f"{code.lower()}.py"
    assert code in {mark[2] for mark in marked(name)}
    title = (SAMPLES / name).read_text(encoding="utf-8").splitlines()[0]
    assert title == f'"""{code}: {RULES[code].summary}."""'


def test_the_samples_are_the_rules() -> None:
    """No sample is left over."""
    names = {path.stem.upper() for path in SAMPLES.glob("sqs*.py")}
    assert names == set(RULES)


def test_the_rules_are_in_order() -> None:
    """By their codes, each under its own."""
    assert list(RULES) == sorted(RULES)
    assert all(rule.code == code for code, rule in RULES.items())
