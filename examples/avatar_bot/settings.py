"""What the environment says: see `.env.example`."""

from __future__ import annotations

import os
from typing import NamedTuple

DEFAULT_DATABASE = "sqlite+aiosqlite:///avatar.db"


class Settings(NamedTuple):
    """The eight variables of the bot."""

    token: str
    database_url: str = DEFAULT_DATABASE
    redis_url: str = ""
    api_url: str = ""
    webhook_url: str = ""
    webhook_secret: str = ""
    host: str = "127.0.0.1"
    port: int = 8080


def from_environment() -> Settings:
    """Read the variables; what is empty or missing has its default."""
    read = os.environ.get
    return Settings(
        token=read("BOT_TOKEN") or "",
        database_url=read("DATABASE_URL") or DEFAULT_DATABASE,
        redis_url=read("REDIS_URL") or "",
        api_url=read("BOT_API_URL") or "",
        webhook_url=read("WEBHOOK_URL") or "",
        webhook_secret=read("WEBHOOK_SECRET") or "",
        host=read("HOST") or "127.0.0.1",
        port=int(read("PORT") or 8080),
    )
