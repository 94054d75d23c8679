"""A training is charged once and ends once, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from aiogram.exceptions import TelegramNetworkError
from aiogram.methods import GetFile, SendPhoto
from asyncpg.exceptions import CannotConnectNowError
from PIL import Image
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from avatar_bot.handlers.avatar.training_production import TRAININGS
from avatar_bot.keyboards.avatar import act
from avatar_bot.keyboards.buttons import Action
from avatar_bot.locales import ru
from avatar_bot.models import (
    Avatar,
    AvatarStatus,
    AvatarType,
    BalanceTransaction,
    Training,
    TrainingStatus,
    User,
    UserBalance,
)
from avatar_bot.notifications import top_up
from avatar_bot.pictures import BadPictureError, paint_avatar, paint_placeholder
from avatar_bot.services.training import PRICE, LostTrainingError
from avatar_bot.services.user import WELCOME_COINS
from avatar_bot.trainer import Trainer
from sqla_safe import scoped_services
from tests.integration.avatar_bot.chat import TELEGRAM_ID, Chat, picture

ROOT = Path(__file__).resolve().parents[3]


async def books(chat: Chat) -> tuple[int, int, list[int]]:
    """Return the balance, the sum of its changes, and the changes since the welcome."""
    async with chat.sessions() as session:
        balance = await session.scalar(select(UserBalance.coins)) or 0
        changes = select(BalanceTransaction.amount).order_by(BalanceTransaction.id)
        amounts = list(await session.scalars(changes))
    return balance, sum(amounts), amounts[1:]


async def state(chat: Chat) -> tuple[TrainingStatus, AvatarStatus, bool]:
    """Return how the only training stands."""
    statement = select(Training.status, Avatar.status, Training.announced)
    async with chat.sessions() as session:
        row = (await session.execute(statement.join(Training.avatar))).one()
    return row[0], row[1], row[2]


async def test_paying_charges_and_shows_the_progress(chat: Chat) -> None:
    """The charge and the training are stored together, and the question becomes a bar."""
    edit, _ = await chat.start_training()
    assert edit.text == ru.training_progress("Летний", 0, 10)
    assert await books(chat) == (WELCOME_COINS - PRICE, WELCOME_COINS - PRICE, [-PRICE])
    assert await state(chat) == (TrainingStatus.RUNNING, AvatarStatus.TRAINING, False)


async def test_a_training_ends_with_a_picture(chat: Chat) -> None:
    """The bar moves in place, then the finished avatar is sent with the way to the gallery."""
    await chat.start_training()
    assert await chat.trainer.work_once()
    edits = [call.text for call in chat.telegram.calls if call.method == "editMessageText"]
    assert ru.training_progress("Летний", 10, 10) in edits
    last = chat.telegram.calls[-1]
    assert (last.method, last.text) == ("sendPhoto", ru.training_done("Летний"))
    assert await state(chat) == (TrainingStatus.DONE, AvatarStatus.READY, True)
    assert (await books(chat))[2] == [-PRICE]
    assert not await chat.trainer.work_once()


async def test_the_worker_is_woken_by_the_commit(chat: Chat) -> None:
    """In the background, a training starts when its charge is stored, not after a while."""
    chat.trainer.idle_seconds = 60
    chat.trainer.start()
    await asyncio.sleep(0.1)
    await chat.start_training()
    async with asyncio.timeout(20):
        while chat.telegram.calls[-1].text != ru.training_done("Летний"):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await chat.trainer.stop()
    await chat.trainer.stop()
    assert (await state(chat))[0] is TrainingStatus.DONE


async def test_two_presses_at_once_charge_once(chat: Chat) -> None:
    """Of two presses on "pay" one starts the training, and the other is told to wait."""
    await chat.create_avatar()
    await chat.send_photos(*(picture(number) for number in range(3)))
    await chat.press(ru.PHOTOS_DONE)
    button = act(Action.PAY, 1)
    await asyncio.gather(*(chat.press_data(button) for _ in range(4)))
    assert (await books(chat))[2] == [-PRICE]
    answers = [call.text for call in chat.telegram.calls if call.method == "answerCallbackQuery"]
    assert answers.count(ru.BUSY) == 3


async def test_an_old_button_does_not_charge_again(chat: Chat) -> None:
    """A press that arrives when the training is over is told so, however many coins there are."""
    await chat.start_training()
    pressed = chat.person.last_message()
    await chat.trainer.work_once()
    await top_up(chat.bot, chat.sessions, TELEGRAM_ID, 1000)
    for action in (Action.PAY, Action.DONE):
        update = chat.person.callback(pressed, act(action, 1))
        [answer] = await chat.feed(update, chat.safe)
        assert answer.text == ru.ALREADY_TRAINED
    assert (await books(chat))[2] == [-PRICE, 1000]


async def test_the_button_of_a_failed_training_is_out_of_date(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An update that Telegram delivers once more, after the refund, charges nobody."""
    await chat.start_training()
    pressed = chat.person.last_message()
    monkeypatch.setattr("avatar_bot.trainer.paint_avatar", lambda *_: paint_avatar("x", 1, b""))
    await chat.trainer.work_once()
    [answer] = await chat.feed(chat.person.callback(pressed, act(Action.PAY, 1)), chat.safe)
    assert answer.text == ru.OLD_BUTTON
    assert (await books(chat))[2] == [-PRICE, PRICE]


async def test_who_cannot_pay_is_told(chat: Chat) -> None:
    """Without enough coins nothing is charged and nothing starts."""
    await chat.create_avatar()
    await chat.send_photos(*(picture(number) for number in range(3)))
    async with chat.sessions.begin() as session:
        await session.execute(update(UserBalance).values(coins=PRICE - 1))
    [answer] = await chat.press_data(act(Action.PAY, 1))
    assert answer.text == ru.not_enough_coins(PRICE, PRICE - 1)
    async with chat.sessions() as session:
        assert await session.scalar(select(func.count(Training.id))) == 0


async def test_too_few_photos_start_nothing(chat: Chat) -> None:
    """Also for whoever presses an old button."""
    await chat.create_avatar()
    [answer] = await chat.press_data(act(Action.PAY, 1))
    assert answer.text == ru.too_few_photos(0, 3)
    assert (await books(chat))[2] == []


@pytest.mark.parametrize("broken", ["picture", "file"])
async def test_a_failure_is_refunded_once(
    chat: Chat, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the picture cannot be made, the coins come back and the user is told."""
    await chat.start_training()
    if broken == "picture":
        monkeypatch.setattr("avatar_bot.trainer.paint_avatar", lambda *_: paint_avatar("x", 1, b""))
    else:
        monkeypatch.setattr(chat.telegram.files, "by_id", lambda _: None)
    await chat.trainer.work_once()
    assert await books(chat) == (WELCOME_COINS, WELCOME_COINS, [-PRICE, PRICE])
    assert chat.telegram.calls[-1].text == ru.training_failed("Летний", PRICE)
    assert await state(chat) == (TrainingStatus.FAILED, AvatarStatus.FAILED, True)
    assert not await chat.trainer.work_once()


async def test_a_failed_avatar_can_be_trained_again(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second training is charged by itself."""
    await chat.start_training()
    with monkeypatch.context() as patch:
        patch.setattr("avatar_bot.trainer.paint_avatar", lambda *_: paint_avatar("x", 1, b""))
        await chat.trainer.work_once()
    await chat.press_data(act(Action.PAY, 1))
    await chat.trainer.work_once()
    assert (await books(chat))[2] == [-PRICE, PRICE, -PRICE]


def test_the_two_types_are_drawn_differently() -> None:
    """A portrait keeps the photo's shades; a poster has a few areas of colour."""
    photo = paint_placeholder("", 1)
    shades = []
    for kind in (AvatarType.PORTRAIT, AvatarType.STYLE):
        with Image.open(BytesIO(paint_avatar("x", 1, photo, kind))) as drawn:
            assert (drawn.format, drawn.size) == ("JPEG", (512, 512))
            part = drawn.crop((0, 0, 512, 400)).quantize(64).getcolors()
        shades.append(sum(count > 1000 for count, _ in part))
    assert shades[0] > 2 * shades[1]


def test_a_broken_photo_is_a_bad_picture() -> None:
    """Bytes that are no picture have an error of their own."""
    with pytest.raises(BadPictureError):
        paint_avatar("x", 1, b"no picture")


async def test_a_blocked_bot_does_not_stop_a_training(chat: Chat) -> None:
    """The avatar is made all the same, and nobody is told twice."""
    await chat.start_training()
    chat.telegram.blocked.add(TELEGRAM_ID)
    await chat.trainer.work_once()
    assert await state(chat) == (TrainingStatus.DONE, AvatarStatus.READY, True)


async def test_a_deleted_user_ends_a_training(chat: Chat) -> None:
    """A worker whose training is gone stops without a word."""
    await chat.start_training()
    claimed = await chat.trainer._claim("me")  # noqa: SLF001
    assert claimed is not None
    async with chat.sessions.begin() as session:
        await session.execute(delete(User))
    before = len(chat.telegram.calls)
    with pytest.raises(LostTrainingError):
        await chat.trainer._carry_on(claimed, "me")  # noqa: SLF001
    assert not await chat.trainer.work_once()
    assert len(chat.telegram.calls) == before


@contextmanager
def out_of_reach(chat: Chat, kind: type) -> Iterator[None]:
    """Let requests of one kind fail on the network."""
    down = True

    async def watch(make_request, bot, method):
        if down and isinstance(method, kind):
            raise TelegramNetworkError(method, "down")
        return await make_request(bot, method)

    chat.telegram.middleware(watch)
    yield
    down = False


async def test_telegram_out_of_reach_is_waited_for(chat: Chat) -> None:
    """A network error is no failure: the training is kept, and goes on later."""
    await chat.start_training()
    chat.trainer.lease_seconds = 0.0
    with out_of_reach(chat, GetFile), pytest.raises(TelegramNetworkError):
        await chat.trainer.work_once()
    assert await state(chat) == (TrainingStatus.RUNNING, AvatarStatus.TRAINING, False)
    assert await chat.trainer.work_once()
    assert (await state(chat))[0] is TrainingStatus.DONE
    assert (await books(chat))[2] == [-PRICE]


async def test_an_end_that_telegram_did_not_take_is_told_later(chat: Chat) -> None:
    """The avatar is ready when the news of it fails: the next attempt sends its picture."""
    await chat.start_training()
    chat.trainer.lease_seconds = 0.0
    with out_of_reach(chat, SendPhoto), pytest.raises(TelegramNetworkError):
        await chat.trainer.work_once()
    assert await state(chat) == (TrainingStatus.DONE, AvatarStatus.READY, False)
    assert await chat.trainer.work_once()
    assert await state(chat) == (TrainingStatus.DONE, AvatarStatus.READY, True)
    assert (await books(chat))[2] == [-PRICE]


@pytest.mark.parametrize("step", ["_claim", "_train"])
@pytest.mark.parametrize(
    "error",
    [OperationalError("SELECT", {}, Exception("down")), CannotConnectNowError("starting up")],
    ids=["wrapped", "driver's own"],
)
async def test_a_lane_survives_a_database_out_of_reach(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, step: str, error: Exception
) -> None:
    """The background worker logs it and tries again."""
    await chat.start_training()
    inner, failures = getattr(Trainer, step), []

    async def flaky(self: Trainer, *args: Any) -> Any:
        if len(failures) < 3:
            failures.append(args)
            raise error
        return await inner(self, *args)

    monkeypatch.setattr(Trainer, step, flaky)
    monkeypatch.setattr(chat.trainer, "lease_seconds", 0.5)
    chat.trainer.start()
    async with asyncio.timeout(20):
        while not (await state(chat))[2]:  # noqa: ASYNC110  the database is what is waited for
            await asyncio.sleep(0.02)
    await chat.trainer.stop()
    assert len(failures) == 3
    assert await state(chat) == (TrainingStatus.DONE, AvatarStatus.READY, True)


async def test_a_worker_that_lost_its_claim_writes_nothing(chat: Chat) -> None:
    """When another worker has taken over, the first one's next write is refused."""
    await chat.start_training()
    old = await chat.trainer._claim("old")  # noqa: SLF001
    assert old is not None
    async with chat.sessions.begin() as session:
        await session.execute(update(Training).values(lease_until=0))
    assert await chat.trainer.work_once()
    with pytest.raises(LostTrainingError):
        await chat.trainer._carry_on(old, "old")  # noqa: SLF001
    assert [c.text for c in chat.telegram.calls].count(ru.training_done("Летний")) == 1


async def test_workers_do_not_take_the_same_training(chat: Chat) -> None:
    """Of several that ask at the same moment one gets it."""
    await chat.start_training()
    claims = await asyncio.gather(*(chat.trainer._claim(f"w{n}") for n in range(5)))  # noqa: SLF001
    assert len([claim for claim in claims if claim is not None]) == 1


async def test_the_end_is_stored_once(chat: Chat) -> None:
    """A training that has ended well is neither failed nor refunded afterwards."""
    await chat.start_training()
    await chat.trainer.work_once()
    async with scoped_services(chat.sessions, TRAININGS) as trainings:
        row = await trainings.session.scalar(select(Training))
        assert row is not None
        await trainings.fail(row)
        await trainings.finish(row, b"")
    assert (await books(chat))[2] == [-PRICE]


async def test_killed_workers_lose_nothing(chat: Chat, engine: AsyncEngine, url: str) -> None:
    """After kill -9 in the middle, the next start ends each training once, charged once."""
    await chat.start_training()
    for _ in range(2):
        await kill_a_worker(chat, url)
    async with chat.sessions.begin() as session:
        progress = await session.scalar(select(Training.progress)) or 0
        await session.execute(update(Training).values(lease_until=time.time() - 1))
    assert 1 < progress < 10
    assert await chat.trainer.work_once()
    assert await state(chat) == (TrainingStatus.DONE, AvatarStatus.READY, True)
    assert (await books(chat))[2] == [-PRICE]
    assert not await chat.trainer.work_once()


async def kill_a_worker(chat: Chat, url: str) -> None:
    """Let another process work on the training, and kill it after a step or two."""
    before = await progress(chat)
    folder = str(ROOT / "tests" / "integration" / "avatar_bot")
    command = [sys.executable, f"{folder}/slow_worker.py", url]
    worker = subprocess.Popen(command, cwd=ROOT)  # noqa: ASYNC220
    try:
        async with asyncio.timeout(30):
            while await progress(chat) < before + 2:
                assert worker.poll() is None
                await asyncio.sleep(0.02)
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()


async def progress(chat: Chat) -> int:
    """Return how far the training is."""
    async with chat.sessions() as session:
        return await session.scalar(select(Training.progress)) or 0
