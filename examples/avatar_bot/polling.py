"""The bot at work: it polls Telegram until it is stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avatar_bot.dispatcher import create_dispatcher
from avatar_bot.engine import create_tables

if TYPE_CHECKING:
    from aiogram import Bot
    from sqlalchemy.ext.asyncio import AsyncEngine

    from avatar_bot.engine import Sessions


async def poll(bot: Bot, engine: AsyncEngine, sessionmaker: Sessions) -> None:
    """Create the tables that are missing, and answer updates until a signal ends it."""
    try:
        await create_tables(engine)
        await create_dispatcher(sessionmaker).start_polling(bot)
    finally:
        await engine.dispose()
