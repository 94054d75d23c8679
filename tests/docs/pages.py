"""The pages of the documentation, and how each of them is checked."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

ROOT = Path(__file__).parents[2]

RUNS = {
    "README.md",
    "docs/index.md",
    "docs/reference/aiogram.md",
    "docs/reference/errors.md",
    "docs/reference/guard.md",
    "docs/reference/scopes.md",
    "docs/reference/snapshots.md",
}
"""Pages whose Python blocks are run."""

PROSE = {
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/explanation/decisions.md",
    "examples/avatar_bot/README.md",
}
"""Pages without a Python block."""

LANGUAGES = {"python", "sh", "text"}
"""What a fenced block may be; only Python is run."""

_FENCE = re.compile(r"^(`{3,}|~{3,})(.*)\n(?s:.*?)^\1`*~*[ \t]*$", re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"(?<!!)\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?[^)]*\)")
_HEADING = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t]*#*$", re.MULTILINE)


def pages() -> set[str]:
    """Return every Markdown page of the project, as paths from its top."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
    return {path.relative_to(ROOT).as_posix() for path in found}


def read(page: str) -> str:
    """Return a page's text."""
    return (ROOT / page).read_text(encoding="utf-8")


def fences(page: str) -> list[str]:
    """Return the info strings of a page's fenced blocks."""
    return [info.strip() for _, info in _FENCE.findall(read(page))]


def prose(page: str) -> str:
    """Return a page's text without its fenced blocks and comments."""
    return _COMMENT.sub("", _FENCE.sub("", read(page)))


def links(page: str) -> list[str]:
    """Return the targets of a page's links."""
    return _LINK.findall(_CODE.sub("`code`", prose(page)))


def anchors(page: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and mkdocs make them."""
    return {_slug(heading) for heading in _HEADING.findall(prose(page))}


def _slug(heading: str) -> str:
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    kept = re.sub(r"[^\w\s-]", "", unicodedata.normalize("NFC", plain)).strip().lower()
    return re.sub(r"[ \t]+", "-", kept)
