"""`# noqa` takes findings back, as ruff users know it."""

from __future__ import annotations

import pytest

from sqla_safe.checker._noqa import is_suppressed
from sqla_safe.checker._text import SourceText
from tests.checker.support import finding


def suppressed(source: str, line: int = 1, **changes) -> bool:
    """Return whether a finding on a line is taken back."""
    return is_suppressed(finding(line, 1, 2, **changes), SourceText(source.encode()))


@pytest.mark.parametrize(
    "comment",
    [
        "# noqa",
        "#noqa",
        "# NOQA",
        "# noqa: SQS011",
        "# noqa:SQS011",
        "# noqa : SQS011",
        "# noqa: sqs011",
        "# noqa: E501, SQS011",
        "# noqa: E501 SQS011",
        "# noqa: SQS011 because it is loaded elsewhere",
        "# noqa because",
        "# type: ignore # noqa: SQS011",
        "# sqla-safe: noqa",
        "# sqla-safe: noqa: SQS011 because",
    ],
)
def test_a_comment_takes_the_finding_back(comment):
    """All the forms in which people write it."""
    assert suppressed(f"user.balance  {comment}\n")


@pytest.mark.parametrize(
    "comment",
    [
        "# noqa: E501",
        "# noqa: SQS01",
        "# noqa: SQS0111",
        "# noqa:",
        "# noqa: because",
        "# noqaa",
        "# no qa",
        "# ruff: noqa: SQS011",
        "",
    ],
)
def test_a_comment_about_something_else_does_not(comment):
    """Other tools' codes, other rules, and words that only look like it."""
    assert not suppressed(f"user.balance  {comment}\n")


def test_only_comments_count():
    """A string that holds the words is no comment."""
    assert not suppressed('user.balance = "# noqa"\n')


def test_the_last_line_of_a_statement_counts():
    """Where a formatter has put the comment, or a string leaves no other place."""
    source = 'call(\n    user.balance,\n    """\ntext\n""",\n)  # noqa: SQS011\nother\n'
    assert suppressed(source, 2)
    assert suppressed(source, 4)
    assert not suppressed(source, 7)


def test_the_last_line_of_a_continued_line_counts():
    """Backslashes leave no place for comments."""
    assert suppressed("x = user.balance + \\\n    1  # noqa\n")


def test_the_last_line_of_the_expression_counts():
    """Inside a statement that goes on."""
    source = "call(\n    getattr(\n        user, 'x', 0\n    ),  # noqa\n    other,\n)\n"
    assert suppressed(source, 2, end_line=4)


def test_a_block_is_no_statement_of_one_line():
    """A comment after the body says nothing about the head."""
    assert not suppressed("if user.balance:\n    x = 1  # noqa\n")


def test_a_whole_file_can_be_left_alone():
    """With all rules, or with one."""
    assert suppressed("# sqla-safe: noqa\nx\nuser.balance\n", 3)
    assert suppressed("x\nuser.balance\n# sqla-safe: noqa: SQS011\n", 2)
    assert not suppressed("# sqla-safe: noqa: SQS001\nuser.balance\n", 2)


@pytest.mark.parametrize(
    "comment",
    [
        "# sqla-safe: noqa",
        "#sqla-safe:noqa:SQS011",
        "    # SQLA-SAFE: NOQA: E501, SQS011",
        "# sqla-safe: noqa: SQS011 because it is generated",
        "# ruff: noqa: SQS011",
        "# flake8: noqa: E501, SQS011",
    ],
)
def test_a_comment_on_a_line_of_its_own_is_for_the_whole_file(comment):
    """In ours, and in those of ruff and flake8 that name the rule."""
    assert suppressed(f"{comment}\nx\nuser.balance\n", 3)


@pytest.mark.parametrize(
    "comment",
    [
        "# sqla-safe: noqa: SQS001",
        "# sqla-safe: noqa:",
        "# write `# sqla-safe: noqa` to leave a file alone",
        "# ruff: noqa",
        "# flake8: noqa",
        "# ruff: noqa: F401",
        "# noqa",
        "# noqa: SQS011",
        "x  # sqla-safe: noqa",
        "x  # ruff: noqa: SQS011",
    ],
)
def test_a_comment_about_another_tool_or_line_leaves_the_file_checked(comment):
    """A file that ruff leaves alone, as a whole, can still have a bug."""
    assert not suppressed(f"{comment}\nx\nuser.balance\n", 3)


def test_an_encoding_that_does_not_exist_is_no_error():
    """Such a file was skipped; it may have changed since."""
    assert suppressed("# -*- coding: nonsense -*-\nuser.balance  # noqa\n", 2)


def test_a_broken_file_has_the_comments_before_its_break():
    """It may have changed since it was checked."""
    assert suppressed("user.balance  # noqa\n(((\n")
