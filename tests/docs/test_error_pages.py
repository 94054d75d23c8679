"""Each error has a page, whose examples raise it and then do not."""

from __future__ import annotations

import re
from typing import Any

import pytest

from sqla_safe import errors
from sqla_safe.guard._codes import CODES
from tests.docs import running
from tests.docs.pages import pages, prose, read

FOLDER = "docs/en/reference/errors/"
INDEX = f"{FOLDER}index.md"
CLASSES: list[Any] = [getattr(errors, name) for name in errors.__all__]
RAISED = [cls for cls in CLASSES if cls is not errors.SqlaSafeError]


def page_of(code: str) -> str:
    """Return the page of a code."""
    return f"{FOLDER}{code}.md"


def first_paragraph(code: str) -> str:
    """Return what stands below the title of a code's page."""
    return prose(page_of(code)).strip().split("\n\n")[1]


def test_the_pages_are_the_codes_that_exist() -> None:
    """Each class and each explanation has its page, and no page is left over."""
    codes = [*(cls.code for cls in CLASSES), *CODES]
    assert {page for page in pages() if page.startswith(FOLDER)} == {INDEX, *map(page_of, codes)}


def test_the_index_has_the_codes_in_order() -> None:
    """One line for each code, which leads to its page."""
    lines = re.findall(r"^\| \[(SQS\d+)\]\((SQS\d+)\.md\) \|", prose(INDEX), re.MULTILINE)
    codes = [code for code, page in lines if code == page]
    assert [code for code in codes if code in CODES] == list(CODES)
    assert [code for code in codes if code not in CODES] == sorted(cls.code for cls in CLASSES)


@pytest.mark.parametrize("code", CODES)
def test_the_guard_and_its_pages_agree(code: str) -> None:
    """The index and the title say what the code says, in the same words."""
    assert f"| [{code}]({code}.md) | {CODES[code]} |" in prose(INDEX)
    assert read(page_of(code)).startswith(f"# {code}: {CODES[code]}\n")


@pytest.mark.parametrize("code", [*CODES, *(cls.code for cls in RAISED)])
def test_a_page_says_what_happened_and_what_to_write_instead(code: str) -> None:
    """In this order, and under these words."""
    words = re.findall(r"\*\*(What happened|Instead)\b", prose(page_of(code)))
    assert words[0] == "What happened"
    assert "Instead" in words[1:]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_the_index_and_the_page_name_the_class(cls: Any) -> None:
    """Whoever comes with the code learns what to catch, and the other way round."""
    assert f"| [{cls.code}]({cls.code}.md) | `{cls.__name__}` |" in prose(INDEX)
    assert f"`{cls.__name__}`" in first_paragraph(cls.code)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_page_names_what_else_catches_it(cls: Any) -> None:
    """The bases that are not ours are named: who catches them today goes on doing so."""
    others = [base.__name__ for base in cls.__bases__ if base.__module__ != errors.__name__]
    first = first_paragraph(cls.code)
    assert [name for name in others if name != "Exception" and name not in first] == []


@pytest.mark.parametrize("cls", RAISED, ids=lambda cls: cls.__name__)
def test_a_page_shows_the_error_and_its_end(cls: Any) -> None:
    """One block raises it (test_examples sees to that), and one after it does not."""
    shown = shown_errors(cls.code)
    assert shown[0] == cls.__name__
    assert shown[-1] is None


@pytest.mark.parametrize("code", [code for code in CODES if code != "SQS109"])
def test_a_page_of_the_guard_shows_an_error_and_its_end(code: str) -> None:
    """SQS109 is a line in the log: its page raises nothing."""
    shown = shown_errors(code)
    assert shown[0] is not None
    assert shown[-1] is None


@pytest.mark.parametrize("code", [*CODES, *(cls.code for cls in CLASSES)])
def test_the_changelog_names_the_code(code: str) -> None:
    """By itself, or in a range such as `SQS101 to SQS190`."""
    named = re.findall(r"SQS(\d+)(?: to SQS(\d+))?", prose("CHANGELOG.md"))
    assert any(int(first) <= int(code[3:]) <= int(last or first) for first, last in named)


def shown_errors(code: str) -> list[str | None]:
    """Return the errors that the visible blocks of a page announce."""
    examples = running.parse(page_of(code)).examples()
    visible = [e for e in examples if e.document.text[e.start] == "`"]
    return [running.expected_error(example) for example in visible]
