"""The story of the bug report: the press that failed, and the same press now."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from sqlalchemy.orm.exc import DetachedInstanceError

from avatar_bot.demo.stage import Stage
from avatar_bot.demo.transcript import Transcript
from avatar_bot.engine import create_engine, create_sessionmaker, create_tables
from avatar_bot.locales import ru
from avatar_bot.pictures import paint_placeholder
from avatar_bot.services.training import PRICE
from avatar_bot.services.user import WELCOME_COINS

if TYPE_CHECKING:
    from avatar_bot.engine import Sessions

TOP_UP = 100
AVATAR = "Летняя Анна"
REPORTED = "lazy load operation of attribute 'balance' cannot proceed"


def run(*, bug_only: bool = False) -> int:
    """Play the story on a fresh SQLite file; return 1 when it went otherwise than expected."""
    logging.getLogger("aiogram").addHandler(logging.NullHandler())  # the transcript shows errors
    with TemporaryDirectory(prefix="avatar_bot_") as folder:
        failures = asyncio.run(_play(Path(folder) / "demo.db", bug_only=bug_only))
    return 1 if failures else 0


async def _play(database: Path, *, bug_only: bool) -> list[str]:
    """Play on one database file; return what was expected and did not happen."""
    engine = create_engine(f"sqlite+aiosqlite:///{database}")
    try:
        await create_tables(engine)
        return await _tell(create_sessionmaker(engine), bug_only=bug_only)
    finally:
        await engine.dispose()


async def _tell(sessions: Sessions, *, bug_only: bool) -> list[str]:
    """Tell the parts of the story in order."""
    stage = Stage(sessions, Transcript())
    await old_way(stage)
    if not bug_only:
        await new_way(stage)
        await balance_details(stage)
    if not bug_only and not stage.failures:
        await avatar_of_ones_own(stage)
    return stage.failures


async def old_way(stage: Stage) -> None:
    """Show the bug."""
    stage.transcript.section(
        "The old way: two service blocks, two sessions",
        "handlers/avatar/main_unsafe.py reads user.balance after both blocks",
    )
    stage.use_bot(unsafe=True)
    await stage.write("/start")
    error = await stage.press(ru.CREATE_AVATAR)
    reported = isinstance(error, DetachedInstanceError) and REPORTED in str(error)
    stage.expect("the old handler raises the reported DetachedInstanceError", met=reported)


async def new_way(stage: Stage) -> None:
    """Show the same press with both services in one scope."""
    stage.transcript.section(
        "The new way: one session for both services, and snapshots after it",
        "handlers/avatar/main.py reads user.balance after the block, too",
    )
    stage.use_bot(unsafe=False)
    error = await stage.press(ru.CREATE_AVATAR)
    answered = error is None and stage.answer().text == ru.avatar_menu(WELCOME_COINS, 0, PRICE)
    stage.expect("the new handler answers with balance and number of avatars", met=answered)


async def balance_details(stage: Stage) -> None:
    """Show a top-up, its notification and the button that the report added."""
    stage.transcript.section(
        "A top-up and its details", "notifications.py stores the coins first, then tells the user"
    )
    await stage.top_up(TOP_UP)
    error = await stage.press(ru.BALANCE_DETAILS)
    balance = WELCOME_COINS + TOP_UP
    details = ru.balance_details(TOP_UP, balance, balance)
    answered = error is None and stage.answer().text == details
    stage.expect("the details show the stored balance", met=answered)


async def avatar_of_ones_own(stage: Stage) -> None:
    """Show an avatar from its name to the gallery."""
    stage.transcript.section(
        "An avatar of one's own",
        "paid and stored in one transaction; trainer.py carries it on in scopes of its own",
    )
    await stage.press(ru.CREATE_AVATAR)
    await stage.press(ru.NEW_AVATAR)
    await stage.write(AVATAR)
    await stage.press(ru.FEMALE)
    await stage.press(ru.PORTRAIT)
    await stage.send_photos(*(paint_placeholder(name, n) for n, name in enumerate("ABC")))
    await stage.press(ru.PHOTOS_DONE)
    await stage.press(ru.START_TRAINING)
    await stage.train()
    stage.expect("the avatar is ready", met=stage.answer().text == ru.training_done(AVATAR))
    await stage.press(ru.GALLERY)
    stage.expect("the gallery shows it", met=AVATAR in stage.answer().text)
    await stage.press(ru.BACK_TO_MAIN)
    balance = WELCOME_COINS + TOP_UP - PRICE
    stage.expect("it was paid once", met=stage.answer().text == ru.main_menu(balance))
