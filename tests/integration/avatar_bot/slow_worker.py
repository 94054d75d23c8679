"""A worker in a process of its own, to be killed: `slow_worker.py URL`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "examples")]

from aiogram import Bot  # noqa: E402

from avatar_bot.demo.telegram import TOKEN, Telegram  # noqa: E402
from avatar_bot.engine import create_engine, create_sessionmaker  # noqa: E402
from avatar_bot.trainer import Trainer  # noqa: E402


async def work(url: str) -> None:
    """Work slowly, with claims that run out quickly."""
    bot = Bot(TOKEN, session=Telegram())
    options = {"step_seconds": 0.15, "lease_seconds": 0.5, "idle_seconds": 0.05}
    await Trainer(bot, create_sessionmaker(create_engine(url)), **options).run()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1]))
