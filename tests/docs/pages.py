"""The pages of the documentation, and how each of them is checked.

A page has Python blocks, all of which are run, or it is in `PROSE` and has none. A Russian page has
the blocks of its English one, byte for byte (`test_languages` says so), and is not run again.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

ROOT = Path(__file__).parents[2]

ENGLISH = "docs/en/"
RUSSIAN = "docs/ru/"

PROSE = {
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/en/explanation/cost.md",
    "docs/en/explanation/decisions.md",
    "docs/en/explanation/guarantees.md",
    "docs/en/explanation/index.md",
    "docs/en/how-to/index.md",
    "docs/en/reference/index.md",
    "docs/en/tutorial/avatar-bot.md",
    "docs/en/tutorial/index.md",
    "examples/avatar_bot/README.md",
    "examples/fastapi_app/README.md",
}
"""Pages without a Python block; of the Russian ones, those whose English page is here."""

LANGUAGES = {"ini", "python", "sh", "text", "toml", "yaml"}
"""What a fenced block may be; only Python is run."""

_FENCE = re.compile(r"^(`{3,}|~{3,})(.*)\n(?s:.*?)^\1`*~*[ \t]*$", re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_BLOCK = re.compile(rf"{_FENCE.pattern}|(?s:{_COMMENT.pattern})", re.MULTILINE)
_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"(?<!!)\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?[^)]*\)")
_HEADING = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t]*#*$", re.MULTILINE)
_NAMED = re.compile(r"\{ #([\w-]+) \}$")
_SNIPPET = re.compile(r"^::: (\S+)$", re.MULTILINE)


def pages() -> set[str]:
    """Return every Markdown page of the project, as paths from its top."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
    return {path.relative_to(ROOT).as_posix() for path in found}


def english(page: str) -> str:
    """Return the English page of a Russian one, and any other page itself."""
    if page.startswith(RUSSIAN):
        return ENGLISH + page.removeprefix(RUSSIAN)
    return page.replace(".ru.md", ".md")


def read(page: str) -> str:
    """Return a page's text."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[str]:
    """Return a page's fenced blocks and comments (invisible blocks are comments), as they stand."""
    return [found[0] for found in _BLOCK.finditer(read(page))]


def fences(page: str) -> list[str]:
    """Return the info strings of a page's fenced blocks."""
    return [info.strip() for _, info in _FENCE.findall(read(page))]


def prose(page: str) -> str:
    """Return a page's text without its fenced blocks and comments."""
    return _COMMENT.sub("", _FENCE.sub("", read(page)))


def generated(page: str) -> list[str]:
    """Return the names whose docstrings the page shows."""
    return _SNIPPET.findall(prose(page))


def links(page: str) -> list[str]:
    """Return the targets of a page's links."""
    return _LINK.findall(_CODE.sub("`code`", prose(page)))


def anchors(page: str) -> set[str]:
    """Return the anchors of a page's headings: as mkdocs makes them, or as `{ #named }`."""
    return {_slug(heading) for heading in _HEADING.findall(prose(page))}


def _slug(heading: str) -> str:
    if named := _NAMED.search(heading):
        return named[1]
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    kept = re.sub(r"[^\w\s-]", "", unicodedata.normalize("NFC", plain)).strip().lower()
    return re.sub(r"[ \t]+", "-", kept)


PROSE |= {page for page in pages() if page.startswith("docs/en/reference/api/")}
RUNS = {page for page in pages() if english(page) == page} - PROSE
"""Pages whose Python blocks are run."""
