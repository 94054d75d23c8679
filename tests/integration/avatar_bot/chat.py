"""What the tests of the bot use it through: one person's chat, and a count of what is used."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from aiogram import Bot, Dispatcher
from PIL import Image
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import Session

from avatar_bot.demo.telegram import TOKEN, Call, Json, Telegram
from avatar_bot.dispatcher import create_dispatcher
from avatar_bot.engine import Sessions
from avatar_bot.locales import ru
from avatar_bot.simulator.person import Person
from avatar_bot.trainer import Trainer

TELEGRAM_ID = 174171680


def picture(number: int, side: int = 400) -> bytes:
    """Return a JPEG of its own colour."""
    out = BytesIO()
    Image.new("RGB", (side, side + 20), (number * 20 % 256, 90, 140)).save(out, "JPEG")
    return out.getvalue()


@dataclass
class Used:
    """How often a connection left the pool, and the sessions that began a transaction."""

    checkouts: int = 0
    sessions: list[Session] = field(default_factory=list)

    def on_checkout(self, *_: Any) -> None:
        """Count a connection."""
        self.checkouts += 1

    def on_begin(self, session: Session, *_: Any) -> None:
        """Remember a session."""
        if session not in self.sessions:
            self.sessions.append(session)


@contextmanager
def counting(engine: AsyncEngine) -> Iterator[Used]:
    """Count what is used inside the block."""
    used = Used()
    pool = engine.sync_engine.pool
    event.listen(pool, "checkout", used.on_checkout)
    event.listen(Session, "after_begin", used.on_begin)
    try:
        yield used
    finally:
        event.remove(pool, "checkout", used.on_checkout)
        event.remove(Session, "after_begin", used.on_begin)


class Chat:
    """The bot, with its old and its new handlers, and a person in a private chat with it."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        self.telegram = Telegram()
        self.bot = Bot(TOKEN, session=self.telegram)
        self.trainer = Trainer(self.bot, sessions, step_seconds=0, idle_seconds=0.05)
        self.safe = create_dispatcher(sessions, wake=self.trainer.wake)
        self.safe["albums"].quiet = 0.02
        self.unsafe = create_dispatcher(sessions, unsafe=True)
        self.person = Person(self.telegram, TELEGRAM_ID, "Анна", "anna_demo")

    async def write(self, text: str) -> list[Call]:
        """Write to the bot; return what it called."""
        return await self.feed(self.person.write(text), self.safe)

    async def press(self, button: str) -> list[Call]:
        """Press a button of the bot's last message; return what the bot called."""
        return await self.feed(self.person.press(button), self.safe)

    async def press_unsafe(self, button: str) -> list[Call]:
        """Press a button of the bot as it was."""
        return await self.feed(self.person.press(button), self.unsafe)

    async def send_photos(self, *pictures: bytes) -> list[Call]:
        """Send photos at the same moment; return what the bot called."""
        before = len(self.telegram.calls)
        updates = self.person.send_photos(*pictures)
        await asyncio.gather(*(self.feed(update, self.safe) for update in updates))
        return self.telegram.calls[before:]

    async def create_avatar(self, name: str = "Летний") -> list[Call]:
        """Go through the questions about a new avatar."""
        await self.write("/start")
        await self.press(ru.CREATE_AVATAR)
        await self.press(ru.NEW_AVATAR)
        await self.write(name)
        await self.press(ru.FEMALE)
        return await self.press(ru.PORTRAIT)

    async def start_training(self, name: str = "Летний") -> list[Call]:
        """Create an avatar, send three photos and pay."""
        await self.create_avatar(name)
        await self.send_photos(*(picture(number) for number in range(3)))
        await self.press(ru.PHOTOS_DONE)
        return await self.press(ru.START_TRAINING)

    async def press_data(self, data: str) -> list[Call]:
        """Press a button that holds `data`; return what the bot called."""
        update = self.person.callback(self.person.last_message(), data)
        return await self.feed(update, self.safe)

    async def feed(self, update: Json, dispatcher: Dispatcher) -> list[Call]:
        """Hand a raw update to the bot; return what it called."""
        before = len(self.telegram.calls)
        await dispatcher.feed_raw_update(self.bot, update)
        return self.telegram.calls[before:]
