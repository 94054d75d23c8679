"""Where the story is played: a bot, one person, and a transcript of both."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiogram import Bot

from avatar_bot.demo.telegram import TOKEN, Call, Json, Telegram
from avatar_bot.dispatcher import create_dispatcher
from avatar_bot.notifications import top_up
from avatar_bot.simulator.person import Person
from avatar_bot.trainer import Trainer

if TYPE_CHECKING:
    from avatar_bot.demo.transcript import Transcript
    from avatar_bot.engine import Sessions

TELEGRAM_ID = 174171680


class Stage:
    """Plays what the person does and remembers whether it went as expected."""

    def __init__(self, sessions: Sessions, transcript: Transcript) -> None:
        self.sessions = sessions
        self.transcript = transcript
        self.telegram = Telegram()
        self.bot = Bot(TOKEN, session=self.telegram)
        self.anna = Person(self.telegram, TELEGRAM_ID, "Анна", "anna_demo")
        self.failures: list[str] = []
        self.use_bot(unsafe=False)

    def use_bot(self, *, unsafe: bool) -> None:
        """Go on with the old handlers or with the new ones."""
        self._dispatcher = create_dispatcher(self.sessions, unsafe=unsafe)

    async def write(self, text: str) -> Exception | None:
        """Let the person write; return the error of the handler, if it failed."""
        self.transcript.person(self.anna.name, text)
        return await self._feed(self.anna.write(text))

    async def press(self, button: str) -> Exception | None:
        """Let the person press a button; return the error of the handler, if it failed."""
        self.transcript.person(self.anna.name, f"presses [ {button} ]")
        return await self._feed(self.anna.press(button))

    async def send_photos(self, *pictures: bytes) -> Exception | None:
        """Let the person send photos as an album; return the first error of a handler."""
        self.transcript.person(self.anna.name, f"sends an album of {len(pictures)} photos")
        before = len(self.telegram.calls)
        updates = self.anna.send_photos(*pictures)
        errors = await asyncio.gather(*(self._error_of(update) for update in updates))
        self.transcript.bot(self.telegram.calls[before:])
        return next((error for error in errors if error is not None), None)

    async def train(self) -> None:
        """Let the worker do its work, and show the last step of it and the end."""
        before = len(self.telegram.calls)
        await Trainer(self.bot, self.sessions, step_seconds=0).work_once()
        said = [call for call in self.telegram.calls[before:] if call.text]
        self.transcript.bot(said[-2:])

    async def top_up(self, coins: int) -> None:
        """Let a payment of the person arrive."""
        self.transcript.person(self.anna.name, f"pays for {coins} coins")
        before = len(self.telegram.calls)
        await top_up(self.bot, self.sessions, TELEGRAM_ID, coins)
        self.transcript.bot(self.telegram.calls[before:])

    def answer(self) -> Call:
        """Return the last call with which the bot said something."""
        said = (call for call in reversed(self.telegram.calls) if call.text)
        return next(said, Call("nothing", {}))

    def expect(self, what: str, *, met: bool) -> None:
        """Show whether `what` is true, and remember it when it is not."""
        self.transcript.verdict(what, met=met)
        if not met:
            self.failures.append(what)

    async def _feed(self, update: Json) -> Exception | None:
        """Hand one raw update to the bot, and show what comes of it."""
        before = len(self.telegram.calls)
        error = await self._error_of(update)
        self.transcript.bot(self.telegram.calls[before:])
        if error is not None:
            self.transcript.error(error)
        return error

    async def _error_of(self, update: Json) -> Exception | None:
        """Return the exception that left the dispatcher."""
        try:
            await self._dispatcher.feed_raw_update(self.bot, update)
        except Exception as error:  # noqa: BLE001  the story shows whatever it is
            return error
        return None
