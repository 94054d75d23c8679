"""Which rules a list of selectors names."""

from __future__ import annotations

import pytest

from sqla_safe.checker._selection import ALL, problems, selected
from sqla_safe.checker.rules import RULES


def test_everything_is_all_rules():
    """ALL needs no list to be kept up to date."""
    assert selected([ALL], []) == frozenset(RULES)


def test_nothing_selected_is_no_rule():
    """An empty list is meant as it is written."""
    assert selected([], []) == frozenset()


def test_the_beginning_of_a_code_selects_its_family():
    """As in ruff."""
    assert selected(["SQS01"], []) == {"SQS010", "SQS011", "SQS012"}


@pytest.mark.parametrize(
    ("select", "ignore", "kept"),
    [
        (["ALL"], ["SQS011"], False),
        (["SQS011"], ["SQS01"], True),
        (["SQS01"], ["SQS011"], False),
        (["SQS011"], ["SQS011"], False),
        (["SQS011"], ["ALL"], True),
    ],
    ids=["all but one", "closer select", "closer ignore", "a draw", "one of all"],
)
def test_the_closer_selector_wins(select, ignore, kept):
    """Of two that name a rule, the longer one counts; ignoring wins a draw."""
    assert ("SQS011" in selected(select, ignore)) is kept


def test_a_selector_that_names_nothing_is_a_problem():
    """A typing error must not switch a rule off silently."""
    [problem] = problems(["SQS01", "SQS999", "ALL"], "select")
    assert problem.startswith("select: unknown rule 'SQS999'; valid are: ALL, SQS001, ")


def test_a_near_miss_gets_the_right_code():
    """Most typing errors are one character."""
    assert problems(["SQSO11"], "select") == [
        "select: unknown rule 'SQSO11'; did you mean 'SQS011'?"
    ]
