"""The pages say what their blocks are, have something to run or none, and link to what exists."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from tests.docs import running
from tests.docs.pages import LANGUAGES, PROSE, ROOT, RUNS, anchors, fences, links, pages, read

EVERY_PAGE = sorted(pages())
ELSEWHERE = ("http://", "https://", "mailto:")


def test_the_pages_of_prose_exist() -> None:
    """A page that was removed or renamed is not listed any more."""
    assert pages() >= PROSE


@pytest.mark.parametrize("page", sorted(RUNS))
def test_a_page_that_is_run_has_something_to_run(page: str) -> None:
    """Each visible Python block is found by the parser that runs it; a page without is prose."""
    visible = fences(page).count("python")
    found = [e for e in running.parse(page).examples() if read(page)[e.start] == "`"]
    assert len(found) == visible > 0


@pytest.mark.parametrize("page", sorted(PROSE))
def test_a_page_of_prose_has_no_python(page: str) -> None:
    """What looks like an example is run, or it does not stand there."""
    assert "python" not in fences(page)


@pytest.mark.parametrize("page", EVERY_PAGE)
def test_every_block_says_what_it_is(page: str) -> None:
    """A block without a language would neither be coloured nor run."""
    assert set(fences(page)) <= LANGUAGES


@pytest.mark.parametrize("page", EVERY_PAGE)
def test_every_link_leads_somewhere(page: str) -> None:
    """Files exist, and pages have the headings that are linked to."""
    assert [link for link in links(page) if not _exists(page, link)] == []


def _exists(page: str, link: str) -> bool:
    if link.startswith(ELSEWHERE):
        return True
    path, _, anchor = unquote(link).partition("#")
    target = (ROOT / page).parent.joinpath(path).resolve() if path else ROOT / page
    if not target.exists() or not target.is_relative_to(ROOT):
        return False
    return not anchor or anchor in anchors(target.relative_to(ROOT).as_posix())


def test_the_figures_have_their_place() -> None:
    """The README says what a scope costs."""
    assert "| Scope: sqlite3, a scope | " in read("README.md")
    assert "…" not in read("README.md")
