"""Many people in the avatar bot at once, whose updates are cut off at random moments."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from aiogram import Bot, Dispatcher
from PIL import Image

from avatar_bot.demo.telegram import TOKEN, Telegram
from avatar_bot.dispatcher import create_dispatcher
from avatar_bot.engine import Sessions
from avatar_bot.handlers.avatar.training_production import STEPS
from avatar_bot.keyboards.avatar import GENDER, TYPE, act
from avatar_bot.keyboards.buttons import Action, Choice, GalleryPage
from avatar_bot.keyboards.main import BACK_TO_MAIN, CREATE_AVATAR, MAIN_HELP, NEW_AVATAR
from avatar_bot.notifications import top_up
from avatar_bot.services.training import PRICE
from avatar_bot.simulator.files import Json
from avatar_bot.simulator.person import Person
from avatar_bot.trainer import Trainer

ATTEMPTS = 60
CUT_OFF = 0.2
LONGEST = 0.1


def pictures() -> list[bytes]:
    """Return a few small photos."""
    made = []
    for number in range(3):
        out = BytesIO()
        Image.new("RGB", (320, 320), (80 * number, 90, 140)).save(out, "JPEG")
        made.append(out.getvalue())
    return made


@dataclass
class Report:
    """What was seen."""

    handled: int = 0
    cut_off: int = 0
    failed: int = 0
    unanswered: list[Json] = field(default_factory=list)


class Storm:
    """The bot, its worker, and people who do not stop."""

    def __init__(self, sessions: Sessions, seed: int) -> None:
        self.random = random.Random(seed)
        self.sessions = sessions
        self.telegram = Telegram()
        self.bot = Bot(TOKEN, session=self.telegram)
        self.trainer = Trainer(
            self.bot, sessions, step_seconds=0.3 / STEPS, lease_seconds=5, idle_seconds=0.2
        )
        self.dispatcher: Dispatcher = create_dispatcher(sessions, wake=self.trainer.wake)
        self.dispatcher["albums"].quiet = 0.02
        self.photos = pictures()
        self.report = Report()

    async def run(self, people: int, seconds: float) -> Report:
        """Let people use the bot for some seconds, then let the worker finish."""
        until = time.monotonic() + seconds
        self.trainer.start()
        async with asyncio.TaskGroup() as group:
            for number in range(people):
                group.create_task(self._live(2000 + number, until))
        return self.report

    async def _live(self, number: int, until: float) -> None:
        person = Person(self.telegram, number, f"Person {number}", f"person_{number}")
        await self._feed(person.write("/start"))
        while time.monotonic() < until:
            await self._top_up(number)
            await self._create_and_train(person)
            await asyncio.sleep(self.random.random() * 0.2)

    async def _top_up(self, number: int) -> None:
        """Let a payment arrive, so that nobody is kept from paying twice by an empty balance."""
        with contextlib.suppress(Exception):  # whether it was stored, the books must say
            await top_up(self.bot, self.sessions, number, 2 * PRICE)

    async def _create_and_train(self, person: Person) -> None:
        """Go through the bot as far as its answers lead."""
        await self._press(person, CREATE_AVATAR)
        await self._press(person, NEW_AVATAR)
        await self._feed(person.write("Летний"))
        await self._press(person, Choice(question=GENDER, answer="male").pack())
        await self._press(person, Choice(question=TYPE, answer="style").pack())
        avatar_id = _avatar_shown(person)
        if avatar_id is not None:
            updates = person.send_photos(*self.photos)
            await asyncio.gather(*(self._feed(update) for update in updates))
            pay = act(Action.PAY, avatar_id)
            await asyncio.gather(*(self._press(person, pay) for _ in range(2)))
        for data in (GalleryPage(page=1).pack(), MAIN_HELP, BACK_TO_MAIN):
            await self._press(person, data)

    async def _press(self, person: Person, data: str) -> None:
        message = person.last_message()
        if message:
            await self._feed(person.callback(message, data))

    async def _feed(self, update: Json) -> None:
        """Deliver an update until it was handled, as a webhook's updates are."""
        query = update.get("callback_query", {}).get("id")
        for _ in range(ATTEMPTS):
            if await self._deliver(update):
                break
            await asyncio.sleep(0.02 + 0.2 * self.random.random())
        else:
            self.report.unanswered.append(update)
        if query in self.telegram.open_queries:
            self.report.unanswered.append(update)

    async def _deliver(self, update: Json) -> bool:
        """Handle an update once; return whether it went through to its end."""
        handling = asyncio.create_task(self._handle(update))
        if self.random.random() < CUT_OFF:
            await asyncio.sleep(self.random.random() * LONGEST)
            self.report.cut_off += handling.cancel()
        [result] = await asyncio.gather(handling, return_exceptions=True)
        self.report.handled += result is True
        return result is True

    async def _handle(self, update: Json) -> bool:
        try:
            await self.dispatcher.feed_raw_update(self.bot, update)
        except Exception as error:
            if "query is too old" in str(error):  # a delivery before this one has answered it
                return True
            self.report.failed += 1
            return False
        return True


def _avatar_shown(person: Person) -> int | None:
    """Return the avatar whose photos the last message asks for."""
    message: Any = person.last_message()
    rows = message.get("reply_markup", {}).get("inline_keyboard", [])
    data = [key["callback_data"] for row in rows for key in row]
    wanted = [part.split(":") for part in data if part.startswith(f"avatar:{Action.DONE.value}:")]
    return int(wanted[0][2]) if wanted and "text" in message else None
