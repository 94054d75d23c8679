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
    names = dict(zip(Settings._fields, VARIABLES, strict=True))
    found = {field: os.environ.get(name, "") for field, name in names.items()}
    given = {field: value for field, value in found.items() if value}
    port = int(given.pop("port", "8080"))
    return Settings(**{"token": "", **given}, port=port)


VARIABLES = (
    "BOT_TOKEN",
    "DATABASE_URL",
    "REDIS_URL",
    "BOT_API_URL",
    "WEBHOOK_URL",
    "WEBHOOK_SECRET",
    "HOST",
    "PORT",
)
