"""Say above a block that it raises: the tests read that from a comment, which nobody else sees."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

_COMMENT = re.compile(r"^<!-- raises: (\w+) -->$", re.MULTILINE)
_VERBS = {"en": "raises", "ru": "бросает"}


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Show the comments of a page as labels."""
    del config, files
    verb = _VERBS[page.file.src_uri.partition("/")[0]]
    return _COMMENT.sub(rf"{verb} `\1`\n{{ .raises }}", markdown)
