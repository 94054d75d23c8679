"""The database of the running bot: `DATABASE_URL`, or the file `avatar.db`."""

from __future__ import annotations

import os

from avatar_bot.engine import create_engine, create_sessionmaker

DATABASE_URL = os.environ.get("DATABASE_URL") or "sqlite+aiosqlite:///avatar.db"

engine = create_engine(DATABASE_URL)
Session = create_sessionmaker(engine)
