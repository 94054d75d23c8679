"""The handlers behind the bot's buttons, safe and unsafe, on the updates that Telegram sends."""

from __future__ import annotations

import asyncio

import pytest
from aiogram import Bot
from aiogram.client.session.middlewares.base import NextRequestMiddlewareType
from aiogram.exceptions import TelegramBadRequest
from aiogram.methods import Response, TelegramMethod
from aiogram.methods.base import TelegramType
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from sqlalchemy.orm.exc import DetachedInstanceError

from avatar_bot.locales import ru
from avatar_bot.models import AvatarGender, BalanceTransaction, User
from avatar_bot.notifications import UnknownUserError, top_up
from avatar_bot.services import AvatarService, UserService
from avatar_bot.services.training import PRICE
from avatar_bot.services.user import WELCOME_COINS
from sqla_safe import scoped_services
from tests.integration.avatar_bot.chat import TELEGRAM_ID, Chat, counting


async def test_start_greets_with_the_button(chat: Chat) -> None:
    """/start answers with the welcome coins and the button of the report."""
    [answer] = await chat.write("/start")
    assert answer.method == "sendMessage"
    assert answer.text == ru.welcome("Анна", WELCOME_COINS)
    assert "Создать аватар" in answer.buttons


async def test_start_again_gives_no_second_welcome(chat: Chat) -> None:
    """A second /start finds the same user, and gives the welcome coins only once."""
    await chat.write("/start")
    [answer] = await chat.write("/start")
    assert answer.text == ru.welcome("Анна", WELCOME_COINS)


async def test_start_twice_at_once_registers_once(chat: Chat) -> None:
    """Two /start at the same moment are both answered, and one user is stored."""
    await asyncio.gather(chat.write("/start"), chat.write("/start"))
    assert [call.text for call in chat.telegram.calls] == [ru.welcome("Анна", WELCOME_COINS)] * 2
    async with chat.sessions() as session:
        assert await session.scalar(select(func.sum(BalanceTransaction.amount))) == WELCOME_COINS


async def test_unsafe_menu_raises_the_reported_error(chat: Chat) -> None:
    """Two service blocks: reading `user.balance` after them is the error of the report."""
    await chat.write("/start")
    reported = (
        r"^Parent instance <User at 0x\w+> is not bound to a Session; "
        r"lazy load operation of attribute 'balance' cannot proceed"
    )
    with pytest.raises(DetachedInstanceError, match=reported):
        await chat.press_unsafe("Создать аватар")


async def test_unsafe_menu_ends_the_loading_of_the_button(chat: Chat) -> None:
    """When a handler fails, the user sees an alert and not a button that loads for ever."""
    await chat.write("/start")
    with pytest.raises(DetachedInstanceError):
        await chat.press_unsafe("Создать аватар")
    assert chat.telegram.calls[-1].text == ru.FAILED
    assert not chat.telegram.open_queries


async def test_unsafe_menu_uses_two_sessions(chat: Chat, engine: AsyncEngine) -> None:
    """One session per service: what the first one loads is no use to the second."""
    await chat.write("/start")
    with counting(engine) as used, pytest.raises(DetachedInstanceError):
        await chat.press_unsafe("Создать аватар")
    assert (used.checkouts, len(used.sessions)) == (2, 2)


async def test_unsafe_menu_fails_earlier_when_commit_expires(
    chat: Chat, engine: AsyncEngine
) -> None:
    """With SQLAlchemy's default `expire_on_commit=True` already `user.id` cannot be read."""
    await chat.write("/start")
    chat.unsafe["sessions"] = async_sessionmaker(engine)
    with pytest.raises(DetachedInstanceError, match="attribute refresh operation cannot proceed"):
        await chat.press_unsafe("Создать аватар")


@pytest.mark.parametrize("expires", [False, True], ids=["kept", "expired-on-commit"])
async def test_safe_menu_shows_balance_and_avatars(
    chat: Chat, engine: AsyncEngine, expires: bool
) -> None:
    """One scope for both services answers, whatever the commit does to entities."""
    await chat.write("/start")
    chat.safe["sessions"] = async_sessionmaker(engine, expire_on_commit=expires)
    edit, answer = await chat.press("Создать аватар")
    assert (edit.method, edit.text) == ("editMessageText", ru.avatar_menu(WELCOME_COINS, 0, PRICE))
    assert answer.method == "answerCallbackQuery"


async def test_safe_menu_counts_avatars(chat: Chat) -> None:
    """The menu shows how many avatars the user has."""
    await chat.write("/start")
    async with scoped_services(chat.sessions, UserService, AvatarService) as (users, avatars):
        user = await users.get_user_by_telegram_id(TELEGRAM_ID)
        assert user is not None
        await avatars.create_avatar(user.id, "Летний", AvatarGender.FEMALE)
    edit, _ = await chat.press("Создать аватар")
    assert "У вас 1 аватар\n" in edit.text


async def test_safe_menu_uses_one_session(chat: Chat, engine: AsyncEngine) -> None:
    """Both services share one session, one transaction and one connection."""
    await chat.write("/start")
    with counting(engine) as used:
        await chat.press("Создать аватар")
    assert (used.checkouts, len(used.sessions)) == (1, 1)


async def test_press_on_an_inaccessible_message_gets_a_new_one(chat: Chat) -> None:
    """When Telegram keeps the pressed message from the bot, the menu is a new message."""
    await chat.write("/start")
    update = chat.person.press("Создать аватар")
    old = {"date": 0, "message_id": 1, "chat": chat.person.chat}
    update["callback_query"]["message"] = old
    menu, _ = await chat.feed(update, chat.safe)
    assert (menu.method, menu.text) == ("sendMessage", ru.avatar_menu(WELCOME_COINS, 0, PRICE))


async def test_failed_edit_is_no_success(chat: Chat) -> None:
    """When Telegram refuses an edit for a reason, the error is reported and the user told."""
    await chat.write("/start")
    update = chat.person.press("Создать аватар")
    del chat.person.last_message()["text"]
    with pytest.raises(TelegramBadRequest, match="no text in the message"):
        await chat.feed(update, chat.safe)
    assert chat.telegram.calls[-1].text == ru.FAILED


async def test_failed_start_is_answered(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message whose handler fails gets an answer, and the error goes on to the log."""

    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(UserService, "register_user", broken)
    with pytest.raises(ZeroDivisionError):
        await chat.write("/start")
    assert [call.text for call in chat.telegram.calls] == [ru.FAILED]


async def test_no_connection_is_held_while_telegram_answers(
    chat: Chat, engine: AsyncEngine
) -> None:
    """The scope has ended, and its connection is back, before the bot calls Telegram."""
    checkouts_at_call = []

    async def watch(
        make_request: NextRequestMiddlewareType[TelegramType],
        bot: Bot,
        method: TelegramMethod[TelegramType],
    ) -> Response[TelegramType]:
        checkouts_at_call.append(engine.sync_engine.pool.checkedout())  # type: ignore[attr-defined]
        return await make_request(bot, method)

    await chat.write("/start")
    chat.telegram.middleware(watch)
    await chat.press("Создать аватар")
    assert checkouts_at_call == [0, 0]


async def test_second_press_is_answered(chat: Chat) -> None:
    """A press on a message that already is the menu is answered without an error."""
    await chat.write("/start")
    await chat.press("Создать аватар")
    edit, answer = await chat.press_data("create_avatar")
    assert (edit.method, answer.method) == ("editMessageText", "answerCallbackQuery")


@pytest.mark.parametrize("data", ["create_avatar", "balance_details_100_350"])
async def test_deleted_user_is_asked_to_start(chat: Chat, data: str) -> None:
    """Whoever presses an old button and is no user any more is told to send /start."""
    await chat.write("/start")
    async with chat.sessions.begin() as session:
        await session.execute(delete(User))
    [answer] = await chat.press_data(data)
    assert answer.text == ru.UNKNOWN_USER


async def test_deleted_user_was_asked_to_start_before(chat: Chat) -> None:
    """The old handler told an unknown user the same: only known users met the bug."""
    await chat.write("/start")
    async with chat.sessions.begin() as session:
        await session.execute(delete(User))
    [answer] = await chat.press_unsafe("Создать аватар")
    assert answer.text == ru.UNKNOWN_USER


async def test_top_up_is_announced_with_details(chat: Chat) -> None:
    """A top-up stores the coins and tells the user; the button then shows both amounts."""
    await chat.write("/start")
    await top_up(chat.bot, chat.sessions, TELEGRAM_ID, 100)
    [answer] = await chat.press("✨ Подробности")
    assert answer.text == ru.balance_details(100, 350, 350)
    assert answer.fields["show_alert"] == "true"


async def test_top_up_of_an_unknown_user_stores_nothing(chat: Chat) -> None:
    """Coins for somebody who is no user are refused, and nobody is told."""
    with pytest.raises(UnknownUserError):
        await top_up(chat.bot, chat.sessions, TELEGRAM_ID, 100)
    assert chat.telegram.calls == []


@pytest.mark.parametrize("data", ["balance_details_100_350", "balance_details_100.0_350.0"])
async def test_balance_details_of_old_and_new_buttons(chat: Chat, data: str) -> None:
    """Buttons sent before balances were whole numbers answer like those of today."""
    await chat.write("/start")
    [answer] = await chat.press_data(data)
    assert answer.text == ru.balance_details(100, 350, WELCOME_COINS)


@pytest.mark.parametrize(
    "data", ["balance_details_", "balance_details_1_2_3", "balance_details_1_²"]
)
async def test_broken_balance_details_are_refused(chat: Chat, data: str) -> None:
    """Callback data that no button of the bot holds gets an answer, not an exception."""
    await chat.write("/start")
    [answer] = await chat.press_data(data)
    assert answer.text == ru.BAD_BUTTON


async def test_help_and_the_way_back(chat: Chat) -> None:
    """Help is an alert, and the avatar menu leads back to the main menu."""
    await chat.write("/start")
    [answer] = await chat.press("❓ Помощь")
    assert answer.text == ru.HELP
    await chat.press("Создать аватар")
    edit, _ = await chat.press("◀️ Главное меню")
    assert edit.text == ru.main_menu(WELCOME_COINS)
