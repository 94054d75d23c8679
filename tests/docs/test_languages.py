"""The documentation is the same in English and Russian."""

from __future__ import annotations

import pytest

from tests.docs.pages import ENGLISH, ROOT, RUSSIAN, blocks, english, generated, links, pages

TRANSLATED = sorted(page for page in pages() if english(page) != page)


def test_both_languages_have_the_same_pages() -> None:
    """Under the same names, each in its folder; a README has both beside each other."""
    translated = {english(page) for page in TRANSLATED}
    assert translated >= {page for page in pages() if page.startswith(ENGLISH)} | {"README.md"}
    assert translated <= pages()


@pytest.mark.parametrize("ending", ["*.md", ".nav.yml"])
def test_both_languages_have_the_same_files(ending: str) -> None:
    """A folder has its order in both."""
    english_files = {path.relative_to(ROOT / ENGLISH) for path in (ROOT / ENGLISH).rglob(ending)}
    russian_files = {path.relative_to(ROOT / RUSSIAN) for path in (ROOT / RUSSIAN).rglob(ending)}
    assert english_files == russian_files


@pytest.mark.parametrize("page", TRANSLATED)
def test_both_languages_have_the_same_blocks(page: str) -> None:
    """Byte for byte and in the same order, the invisible ones included."""
    assert blocks(page) == blocks(english(page))
    assert generated(page) == generated(english(page))


@pytest.mark.parametrize("page", [page for page in TRANSLATED if page.startswith(RUSSIAN)])
def test_a_russian_page_links_to_russian_pages(page: str) -> None:
    """Who reads Russian is not led away."""
    assert [link for link in links(page) if "/en/" in link] == []
