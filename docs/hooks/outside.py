"""Links that lead out of the documentation, to a test or an example.

On the site those files do not exist. With ``repo_url`` in mkdocs.yml such a link leads to the file
in the repository; without, its text stays, with the file's path as a hint.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

_LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(((?:\.\./)+[^)\s#]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite the links of a page that lead out of the documentation."""
    del files
    docs = Path(config.docs_dir)
    here = docs / page.file.src_uri

    def rewrite(link: re.Match[str]) -> str:
        target = (here.parent / link[2]).resolve()
        if target.is_relative_to(docs):
            return link[0]
        if not target.exists():
            message = f"{page.file.src_uri} links to {link[2]}, which does not exist"
            raise FileNotFoundError(message)
        path = PurePosixPath(target.relative_to(docs.parent)).as_posix()
        return _repository_link(link, path, config.repo_url) or _mention(link[1], path)

    return _LINK.sub(rewrite, markdown)


def _repository_link(link: re.Match[str], path: str, repository: str | None) -> str | None:
    if not repository:
        return None
    return f"[{link[1]}]({repository.rstrip('/')}/blob/main/{path}{link[3] or ''})"


def _mention(text: str, path: str) -> str:
    return f'<span class="file" title="{path}" markdown>{text}</span>'
