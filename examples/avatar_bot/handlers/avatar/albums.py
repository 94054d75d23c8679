"""Several photos at once: each is stored at once, and all of them are answered together."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Hashable

QUIET_SECONDS = 0.3
"""How long nothing must arrive until the photos of an album are answered."""


@dataclass
class _Album:
    """What became of the photos so far, and how many are still being stored."""

    results: list[str] = field(default_factory=list)
    pending: int = 0


class Albums:
    """Collects what becomes of the photos that arrive together."""

    def __init__(self, quiet: float = QUIET_SECONDS) -> None:
        self.quiet = quiet
        self._open: dict[Hashable, _Album] = {}

    async def collect(self, key: Hashable, storing: Awaitable[str]) -> Counter[str] | None:
        """Store a photo; return all results to the first caller of an album, None to the others."""
        if (album := self._open.get(key)) is not None:
            await self._add(album, storing)
            return None
        album = self._open[key] = _Album()
        try:
            await self._add(album, storing)
            await self._wait_until_quiet(album)
        finally:
            del self._open[key]
        return Counter(album.results)

    async def _add(self, album: _Album, storing: Awaitable[str]) -> None:
        album.pending += 1
        try:
            album.results.append(await storing)
        finally:
            album.pending -= 1

    async def _wait_until_quiet(self, album: _Album) -> None:
        seen = -1
        while album.pending or seen < len(album.results):
            seen = len(album.results)
            await asyncio.sleep(self.quiet)
