"""What mypy --strict and pyright must refuse of the aiogram integration; not to be run."""

from __future__ import annotations

from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

from sqla_safe.ext.aiogram import ScopeMiddleware
from tests.typing.accepted_aiogram import Needy, Special, maker

ScopeMiddleware(sessionmaker(create_engine("sqlite://")))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
ScopeMiddleware(maker, Needy)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
ScopeMiddleware(maker, Special)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
ScopeMiddleware(maker, timeout="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
ScopeMiddleware(maker, users="Users")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
