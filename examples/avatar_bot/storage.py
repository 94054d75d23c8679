"""Where the state of conversations is kept: in memory, or in Redis for several processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiogram.fsm.storage.memory import MemoryStorage

if TYPE_CHECKING:
    from aiogram.fsm.storage.base import BaseStorage


def create_storage(redis_url: str) -> BaseStorage:
    """Return the storage for a Redis address; without one, a storage that ends with the process."""
    if not redis_url:
        return MemoryStorage()
    from aiogram.fsm.storage.redis import RedisStorage  # noqa: PLC0415  redis is optional

    return RedisStorage.from_url(redis_url)
