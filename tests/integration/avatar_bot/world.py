"""The whole thing over HTTP: simulator, bot and worker, and what a page would do."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiogram import Bot, Dispatcher
from aiohttp import ClientSession, FormData
from sqlalchemy.ext.asyncio import AsyncEngine

from avatar_bot import polling
from avatar_bot.demo.live import living
from avatar_bot.locales import texts_for
from avatar_bot.services.training import PRICE
from avatar_bot.services.user import WELCOME_COINS
from avatar_bot.settings import Settings
from avatar_bot.simulator.api import TOKEN
from avatar_bot.simulator.files import Json
from avatar_bot.simulator.server import Simulator, serving

PATIENCE = 60
"""Seconds: a loaded machine takes many of them to start a process."""


class World:
    """A simulator with its address, a bot that is running, and an HTTP client."""

    def __init__(self, simulator: Simulator, address: str, bot: Bot, client: ClientSession) -> None:
        self.simulator = simulator
        self.address = address
        self.bot = bot
        self.client = client

    async def post(self, name: str, /, **form: Any) -> tuple[int, Json]:
        """Do what the page does."""
        async with self.client.post(f"{self.address}/page/{name}", json=form) as answer:
            is_json = answer.content_type == "application/json"
            return answer.status, await answer.json() if is_json else {}

    async def send_photos(self, chat: int, *pictures: bytes) -> int:
        """Send photos as the page does."""
        form = FormData()
        form.add_field("chat", str(chat))
        for number, data in enumerate(pictures):
            form.add_field("photo", data, filename=f"{number}.jpg", content_type="image/jpeg")
        async with self.client.post(f"{self.address}/page/photos", data=form) as answer:
            return answer.status

    def last(self, chat: int) -> Json:
        """Return the newest message of the bot in a chat."""
        return self.simulator.people[chat].last_message()

    async def press(self, chat: int, button: str) -> None:
        """Press a button of the last message."""
        message = self.last(chat)
        rows = message.get("reply_markup", {}).get("inline_keyboard", [])
        there = {key["text"]: key["callback_data"] for row in rows for key in row}
        assert button in there, f"no {button!r} below {message}"
        press = {"chat": chat, "message": message["message_id"], "data": there[button]}
        status, _ = await self.post("press", **press)
        assert status == 200

    def texts(self, chat: int) -> Any:
        """Return the texts in the language of a person."""
        return texts_for(self.simulator.people[chat].sender["language_code"])

    async def create(self, chat: int, name: str, *photos: bytes) -> None:
        """Go from /start to the question whether to pay for an avatar."""
        texts, count = self.texts(chat), len(photos)
        await self.post("write", chat=chat, text="/start")
        await self.sees(chat, texts.coins(WELCOME_COINS))
        await self.press(chat, texts.CREATE_AVATAR)
        await self.sees(chat, texts.avatar_menu(WELCOME_COINS, 0, PRICE))
        await self.press(chat, texts.NEW_AVATAR)
        await self.sees(chat, texts.ask_name(WELCOME_COINS, PRICE))
        await self.post("write", chat=chat, text=name)
        await self.sees(chat, texts.ASK_GENDER)
        await self.press(chat, texts.FEMALE)
        await self.sees(chat, texts.ASK_TYPE)
        await self.press(chat, texts.STYLE)
        await self.sees(chat, texts.ask_photos(name, 0, 3, 10))
        assert await self.send_photos(chat, *photos) == 200
        await self.sees(chat, texts.ask_photos(name, count, 3, 10))
        await self.press(chat, texts.PHOTOS_DONE)
        await self.sees(chat, texts.confirm_training(name, count, PRICE, WELCOME_COINS))

    async def sees(self, chat: int, text: str) -> Json:
        """Wait until the bot's last message holds a text."""
        return await self.until(lambda: _holding(self.last(chat), text), text)

    async def until(
        self, look: Callable[[], Any], what: str = "", seconds: float = PATIENCE
    ) -> Any:
        """Wait until something is true."""
        try:
            async with asyncio.timeout(seconds):
                while not (found := look()):  # noqa: ASYNC110  what is watched has no event
                    await asyncio.sleep(0.01)
        except TimeoutError:
            said = [m.get("text") or m.get("caption") for m in self.simulator.messages.values()]
            raise AssertionError(f"never seen: {what}; said was {said}") from None
        return found


def _holding(message: Json, text: str) -> Json | None:
    return message if text in message.get("text", message.get("caption", "")) else None


@asynccontextmanager
async def world(
    engine: AsyncEngine, *, webhook: bool = False, unsafe: bool = False, step_seconds: float = 0.05
) -> AsyncIterator[World]:
    """Give a world in which the bot polls, or waits for its webhook."""
    simulator = Simulator()
    async with (
        serving(simulator) as address,
        living(simulator, address, engine, unsafe=unsafe) as (bot, dispatcher),
        ClientSession() as client,
    ):
        dispatcher["wake"].__self__.step_seconds = step_seconds
        dispatcher["albums"].quiet = 0.05
        listens = _webhook(bot, dispatcher) if webhook else _polling(bot, dispatcher)
        async with listens:
            yield World(simulator, address, bot, client)


@asynccontextmanager
async def _polling(bot: Bot, dispatcher: Dispatcher) -> AsyncIterator[None]:
    options = {"handle_signals": False, "close_bot_session": False, "polling_timeout": 2}
    task = asyncio.create_task(dispatcher.start_polling(bot, **options))
    try:
        yield
    finally:
        with suppress(RuntimeError):  # it has stopped by itself
            await dispatcher.stop_polling()
        await task


@asynccontextmanager
async def _webhook(bot: Bot, dispatcher: Dispatcher) -> AsyncIterator[None]:
    port = free_port()
    url = f"http://127.0.0.1:{port}/hook"
    settings = Settings(TOKEN, webhook_url=url, webhook_secret="secret", port=port)
    async with polling.listening(bot, dispatcher, settings):
        await bot.set_webhook(url, secret_token="secret")
        yield


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
