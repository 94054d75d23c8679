"""The bot over HTTP: an unmodified aiogram client, polling and webhook, against the simulator."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiogram.exceptions import (
    TelegramBadRequest,
    TelegramConflictError,
    TelegramForbiddenError,
    TelegramNotFound,
)
from aiogram.types import BufferedInputFile, InputMediaPhoto
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from avatar_bot.keyboards.avatar import act
from avatar_bot.keyboards.buttons import Action, GalleryPage
from avatar_bot.keyboards.main import BACK_TO_MAIN, CREATE_AVATAR, NEW_AVATAR
from avatar_bot.locales import ru
from avatar_bot.models import BalanceTransaction, UserBalance
from avatar_bot.services.training import PRICE
from avatar_bot.services.user import WELCOME_COINS
from tests.integration.avatar_bot.chat import picture
from tests.integration.avatar_bot.world import World, free_port, world

ANNA, BORIS = 1001, 1002
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
async def live(engine: AsyncEngine) -> AsyncIterator[World]:
    """Give a bot that polls."""
    async with world(engine) as live:
        yield live


async def whole_story(live: World, chat: int, name: str) -> None:
    """Create an avatar with photos, train it, and look at it in the gallery."""
    texts = live.texts(chat)
    await live.create(chat, name, *(picture(number) for number in range(3)))
    await live.press(chat, texts.START_TRAINING)
    await live.sees(chat, texts.training_done(name))
    await live.press(chat, texts.GALLERY)
    await live.sees(chat, "1 из 1" if texts is ru else "1 of 1")
    await live.press(chat, texts.BACK_TO_MAIN)
    await live.sees(chat, texts.main_menu(WELCOME_COINS - PRICE))
    assert await live.post("top_up", chat=chat) == (200, {})
    await live.sees(chat, texts.topped_up(100, WELCOME_COINS - PRICE + 100))


@pytest.mark.parametrize("webhook", [False, True], ids=["polling", "webhook"])
async def test_two_people_live_through_the_whole_story(engine: AsyncEngine, webhook: bool) -> None:
    """Side by side, each in his own language; the books are right and nothing is left open."""
    async with world(engine, webhook=webhook) as live:
        people = whole_story(live, ANNA, "Летняя"), whole_story(live, BORIS, "Winter")
        await asyncio.gather(*people)
        await live.until(lambda: not live.simulator.open_queries, "an answer to every press")
    async with AsyncSession(engine) as session:
        charged = select(func.sum(BalanceTransaction.amount)).group_by(BalanceTransaction.user_id)
        expected = [WELCOME_COINS - PRICE + 100] * 2
        assert (await session.scalars(charged)).all() == expected
        assert (await session.scalars(select(UserBalance.coins))).all() == expected


async def test_balance_details_are_an_alert(live: World) -> None:
    """The button under a top-up answers with an alert, which the page hears of."""
    async with live.client.get(f"{live.address}/page/events") as events:
        await events.content.readline()
        await live.post("write", chat=ANNA, text="/start")
        await live.sees(ANNA, "Добро пожаловать")
        await live.post("top_up", chat=ANNA)
        await live.sees(ANNA, "Баланс пополнен")
        await live.press(ANNA, ru.BALANCE_DETAILS)
        async with asyncio.timeout(10):
            while True:
                line = (await events.content.readline()).decode().removeprefix("data: ").strip()
                if line.startswith("{") and json.loads(line)["kind"] == "answer":
                    break
    answer = json.loads(line)["what"]
    assert (answer["text"], answer["alert"]) == (ru.balance_details(100, 350, 350), True)


SIX = (
    *(BACK_TO_MAIN, CREATE_AVATAR, NEW_AVATAR, GalleryPage(page=0).pack()),
    *(act(Action.PHOTOS, 1), act(Action.DONE, 1)),
)


async def test_the_bug_is_shown_on_the_page(engine: AsyncEngine) -> None:
    """The page gets the error of each old handler, and the guard's own explanation of it."""
    async with world(engine, unsafe=True) as live:
        await live.post("write", chat=ANNA, text="/start")
        message = await live.sees(ANNA, "Добро пожаловать")
        for number, data in enumerate(SIX, 1):
            await live.post("press", chat=ANNA, message=message["message_id"], data=data)
            await live.until(lambda n=number: len(live.simulator.reports[ANNA]) == n, "a report")
        async with live.client.get(f"{live.address}/page/state") as answer:
            state = await answer.json()
    assert state["unsafe"]
    reports = state["people"][0]["reports"]
    for report in reports:
        assert report["error"] == "sqlalchemy.orm.exc.DetachedInstanceError"
        assert "lazy load operation of attribute 'balance' cannot proceed" in report["text"]
        explanation = report["explanation"]
        assert explanation.startswith("SQS101 User.balance was read after its scope had ended\n")
        assert "instead: await asnapshot(user, User.balance)" in explanation
    files = re.findall(r"  read: +\S+/(\w+_unsafe)\.py:", str([r["explanation"] for r in reports]))
    assert len(set(files)) == len(SIX)


async def test_every_method_works_over_http(live: World) -> None:
    """Photos, albums, edits of caption, media and buttons, deletion, files and commands."""
    await live.post("write", chat=ANNA, text="/start")
    await live.sees(ANNA, "Добро пожаловать")
    file = BufferedInputFile(picture(1), "a.jpg")
    sent = await live.bot.send_photo(ANNA, file, caption="one")
    assert sent.photo is not None
    await sent.edit_caption(caption="two")
    await sent.edit_media(InputMediaPhoto(media=BufferedInputFile(picture(2), "b"), caption="3"))
    assert live.last(ANNA)["caption"] == "3"
    await sent.edit_reply_markup(reply_markup=None) if sent.reply_markup else None
    album = await live.bot.send_media_group(
        ANNA, [InputMediaPhoto(media=sent.photo[0].file_id), InputMediaPhoto(media=file)]
    )
    assert len({message.media_group_id for message in album}) == 1
    assert (await live.bot.download(sent.photo[0].file_id)).read() == picture(1)
    assert await live.bot.send_chat_action(ANNA, "typing")
    await album[0].delete()
    with pytest.raises(TelegramBadRequest, match="message to delete not found"):
        await album[0].delete()
    assert [command["command"] for command in live.simulator.commands] == ["start", "help"]
    assert (await live.bot.get_webhook_info()).url == ""


async def test_refusals_are_those_of_telegram(live: World) -> None:
    """Unknown methods, wrong files and blocked bots arrive as aiogram's own exceptions."""
    await live.post("write", chat=ANNA, text="/start")
    await live.sees(ANNA, "Добро пожаловать")
    with pytest.raises(TelegramNotFound):
        await live.bot.get_chat_menu_button()
    with pytest.raises(TelegramBadRequest, match="wrong file"):
        await live.bot.send_photo(ANNA, "nonsense")
    with pytest.raises(TelegramBadRequest, match="wrong file_id"):
        await live.bot.get_file("nonsense")
    with pytest.raises(TelegramBadRequest, match="IMAGE_PROCESS_FAILED"):
        await live.bot.send_photo(ANNA, BufferedInputFile(b"no picture", "a.jpg"))
    with pytest.raises(TelegramBadRequest, match="2 to 10"):
        await live.bot.send_media_group(ANNA, [InputMediaPhoto(media="x")])
    with pytest.raises(TelegramBadRequest, match="caption is too long"):
        await live.bot.send_photo(ANNA, BufferedInputFile(picture(1), "a"), caption="я" * 1025)
    await live.post("block", chat=ANNA, blocked=True)
    with pytest.raises(TelegramForbiddenError):
        await live.bot.send_message(ANNA, "?")
    await live.post("block", chat=ANNA, blocked=False)
    photo = await live.bot.send_photo(ANNA, BufferedInputFile(picture(1), "a"))
    with pytest.raises(TelegramBadRequest, match="no text in the message"):
        await photo.edit_text("?")
    async with live.client.post(f"{live.address}/bot1/editMessageText") as answer:
        assert answer.status == 400


async def test_polling_and_a_webhook_exclude_each_other(engine: AsyncEngine) -> None:
    """While a webhook is set, getUpdates is a conflict."""
    async with world(engine, webhook=True) as live:
        with pytest.raises(TelegramConflictError):
            await live.bot.get_updates()


async def test_a_webhook_that_is_down_gets_its_updates_later(engine: AsyncEngine) -> None:
    """An update that nobody takes is posted again until somebody does."""
    async with world(engine, webhook=True) as live:
        url = live.simulator.webhook["url"]
        live.simulator.webhook["url"] = f"http://127.0.0.1:{free_port()}/"
        await live.post("write", chat=ANNA, text="/start")
        await asyncio.sleep(0.3)
        assert len(live.simulator.pending) == 1
        live.simulator.webhook["url"] = url
        await live.sees(ANNA, "Добро пожаловать")


async def test_other_sites_and_other_names_are_refused(live: World) -> None:
    """A page of another site cannot post here, and the machine answers by its local names only."""
    url = f"{live.address}/page/write"
    body = {"chat": ANNA, "text": "/start"}
    for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
        async with live.client.post(url, json=body, headers=headers) as answer:
            assert answer.status == 403
    async with live.client.post(url, json=body, headers={"Origin": live.address}) as answer:
        assert answer.status == 200


async def test_nonsense_of_the_page_is_refused(live: World) -> None:
    """Unknown people, messages, photos and empty uploads have their status."""
    assert (await live.post("write", chat=7, text="x"))[0] == 404
    assert (await live.post("press", chat=ANNA, message=99, data="x"))[0] == 404
    assert (await live.post("top_up", chat=ANNA))[0] == 409
    assert await live.send_photos(ANNA) == 400
    assert await live.send_photos(ANNA, b"no picture") == 415
    for path in ("/page/photo/none", "/file/bot1/none"):
        async with live.client.get(live.address + path) as answer:
            assert answer.status == 404


async def test_the_page_needs_nothing_from_elsewhere(live: World) -> None:
    """One document without a reference to any other site, which says what is not simulated."""
    async with live.client.get(live.address) as answer:
        text = await answer.text()
    assert re.findall(r"(?:src|href)=[\"']?(?!data:)[\w/]", text) == []
    assert "://" not in text
    assert "Чего здесь нет" in text


async def test_more_people_can_come(live: World) -> None:
    """The page can let people in, who start from nothing."""
    status, answer = await live.post("people", name="Вера", language="ru")
    assert (status, answer["id"]) == (200, 1003)
    await live.post("write", chat=1003, text="/start")
    await live.sees(1003, "Вера")


def start_demo(*arguments: str) -> subprocess.Popen[str]:
    """Start the demo as its readers do."""
    clean = {name: value for name, value in os.environ.items() if name != "BOT_TOKEN"}
    clean |= {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    command = [sys.executable, "-m", "avatar_bot", "demo", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT / "examples", env=clean, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminate"])
def test_the_demo_prints_its_address_and_stops_cleanly(how: signal.Signals) -> None:
    """It says where the page is, opens nothing, and ends with 0 when it is asked to."""
    demo = start_demo("--port", "0")
    assert demo.stdout is not None
    with demo, demo.stdout:
        first = demo.stdout.readline()
        assert re.search(r"http://127\.0\.0\.1:\d+$", first)
        demo.send_signal(how)
        assert "Stopped." in demo.stdout.read()
        assert demo.wait(20) == 0


def test_a_port_in_use_is_said_plainly() -> None:
    """No traceback, but what to try instead."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        second = start_demo("--port", str(other.getsockname()[1]))
        said, _ = second.communicate(timeout=60)
    assert (second.returncode, "--port 0" in said) == (1, True)
