"""The page of errors has a section for each of them, whose examples raise it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from sqla_safe import errors
from sqla_safe.guard._codes import CODES
from tests.docs import running
from tests.docs.pages import prose

PAGE = "docs/reference/errors.md"
CLASSES: list[Any] = [getattr(errors, name) for name in errors.__all__]
RAISED = [cls for cls in CLASSES if cls is not errors.SqlaSafeError]


def sections() -> dict[str, str]:
    """Return the page's sections by their codes."""
    parts = re.split(r"^## (SQS\d+)$", prose(PAGE), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_page_has_the_codes_that_exist() -> None:
    """Each class has its section, in order, and no section is left over."""
    codes = list(sections())
    assert sorted(codes) == sorted([*(cls.code for cls in CLASSES), *CODES])
    assert [code for code in codes if code in CODES] == list(CODES)
    assert [code for code in codes if code not in CODES] == sorted(cls.code for cls in CLASSES)


@pytest.mark.parametrize("code", CODES)
def test_the_guard_and_its_page_agree(code: str) -> None:
    """The table beside the sections says what the code says, in the same words."""
    assert f"| [{code}](#{code.lower()}) | {CODES[code]} |" in prose(PAGE)


@pytest.mark.parametrize("code", CODES)
def test_a_section_of_the_guard_shows_a_repair(code: str) -> None:
    """What happened, and what to write instead."""
    assert {"**What happened.**", "**Instead**"} <= set(
        re.findall(r"\*\*[A-Z][a-z ]+\.?\*\*", sections()[code])
    )


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_section_names_its_class(cls: Any) -> None:
    """Whoever comes with the code learns what to catch, and the other way round."""
    assert f"`{cls.__name__}`" in sections()[cls.code].strip().splitlines()[0]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_section_names_what_else_catches_it(cls: Any) -> None:
    """The bases that are not ours are named: who catches them today goes on doing so."""
    others = [base.__name__ for base in cls.__bases__ if base.__module__ != errors.__name__]
    first = sections()[cls.code].strip().split("\n\n")[0]
    assert [name for name in others if name != "Exception" and name not in first] == []


@pytest.mark.parametrize("cls", RAISED, ids=lambda cls: cls.__name__)
def test_a_section_shows_the_error_and_its_end(cls: Any) -> None:
    """One block raises it (test_examples sees to that), and one after it does not."""
    shown: list[str | None] = []
    for example in running.parse(PAGE).examples():
        headings = re.findall(
            r"^## (SQS\d+)$", example.document.text[: example.start], re.MULTILINE
        )
        is_visible = example.document.text[example.start] == "`"
        if is_visible and headings and headings[-1] == cls.code:
            shown.append(running.expected_error(example))
    assert shown[0] == cls.__name__
    assert shown[-1] is None
