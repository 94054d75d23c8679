"""The documentation is the same in English and Russian."""

from __future__ import annotations

import pytest

from tests.docs.pages import RUSSIAN, blocks, english, generated, links, pages

TRANSLATED = sorted(page for page in pages() if english(page) != page)


@pytest.mark.parametrize("page", TRANSLATED)
def test_a_russian_page_has_an_english_one(page: str) -> None:
    """Under the same name, in the folder of the other language."""
    assert english(page) in pages()


@pytest.mark.parametrize("page", TRANSLATED)
def test_both_languages_have_the_same_blocks(page: str) -> None:
    """Byte for byte and in the same order, the invisible ones included."""
    assert blocks(page) == blocks(english(page))
    assert generated(page) == generated(english(page))


@pytest.mark.parametrize("page", [page for page in TRANSLATED if page.startswith(RUSSIAN)])
def test_a_russian_page_links_to_russian_pages(page: str) -> None:
    """Who reads Russian is not led away."""
    assert [link for link in links(page) if "/en/" in link] == []
