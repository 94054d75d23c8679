"""The in-memory Telegram refuses what Telegram refuses: the demo cannot hide a bug of the bot."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from aiogram import Bot
from aiogram.exceptions import TelegramBadRequest, TelegramNotFound
from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup, TelegramObject, Update

from avatar_bot.demo.telegram import TOKEN, Telegram
from avatar_bot.keyboards.buttons import column
from avatar_bot.simulator.person import NoSuchButtonError, Person


@pytest.fixture
def telegram() -> Telegram:
    """Give a Telegram in which nothing has happened."""
    return Telegram()


@pytest.fixture
def bot(telegram: Telegram) -> Bot:
    """Give a bot that talks to it."""
    return Bot(TOKEN, session=telegram)


@pytest.fixture
def person(telegram: Telegram) -> Person:
    """Give a person who has written to the bot."""
    person = Person(telegram, 7, "Анна", "anna_demo")
    person.write("Привет")
    return person


async def test_bot_knows_itself(bot: Bot) -> None:
    """The method getMe answers with the bot's own account."""
    assert (await bot.me()).username == "avatar_demo_bot"


async def test_unknown_method_is_not_found(bot: Bot) -> None:
    """A method that is not simulated answers 404, as the Bot API does."""
    with pytest.raises(TelegramNotFound, match="Not Found"):
        await bot.get_chat_menu_button()


async def test_unknown_files_are_missing(bot: Bot) -> None:
    """A download fails instead of giving an empty file."""
    with pytest.raises(FileNotFoundError):
        await bot.download_file("photos/file_1.jpg")


async def test_message_to_a_stranger_is_refused(bot: Bot) -> None:
    """A bot cannot write to somebody who has never written to it."""
    with pytest.raises(TelegramBadRequest, match="chat not found"):
        await bot.send_message(1, "Привет")


@pytest.mark.parametrize(
    ("text", "reason"),
    [(" ", "message text is empty"), ("я" * 4097, "message is too long")],
    ids=["empty", "too-long"],
)
async def test_text_must_fit(bot: Bot, person: Person, text: str, reason: str) -> None:
    """Empty and overlong texts are refused."""
    with pytest.raises(TelegramBadRequest, match=reason):
        await bot.send_message(person.chat["id"], text)


async def test_callback_data_must_fit(bot: Bot, person: Person) -> None:
    """Callback data of more than 64 bytes is refused."""
    with pytest.raises(TelegramBadRequest, match="BUTTON_DATA_INVALID"):
        await bot.send_message(person.chat["id"], "?", reply_markup=column(("ok", "я" * 33)))


async def test_edit_must_change_something(bot: Bot, person: Person) -> None:
    """An edit to what the message is already is refused; a different one is stored."""
    sent = await bot.send_message(person.chat["id"], "1", reply_markup=column(("ok", "ok")))
    with pytest.raises(TelegramBadRequest, match="message is not modified"):
        await sent.edit_text("1", reply_markup=column(("ok", "ok")))
    await sent.edit_text("2")
    assert "reply_markup" not in person.last_message()


async def test_only_own_messages_can_be_edited(bot: Bot, person: Person) -> None:
    """The person's messages are not the bot's to edit."""
    with pytest.raises(TelegramBadRequest, match="message to edit not found"):
        await bot.edit_message_text("!", chat_id=person.chat["id"], message_id=1)


async def test_press_is_answered_once(bot: Bot, person: Person) -> None:
    """A callback query can be answered once, with at most 200 characters."""
    await bot.send_message(person.chat["id"], "?", reply_markup=column(("ok", "ok")))
    query = person.press("ok")["callback_query"]["id"]
    with pytest.raises(TelegramBadRequest, match="MESSAGE_TOO_LONG"):
        await bot.answer_callback_query(query, "я" * 201)
    await bot.answer_callback_query(query)
    with pytest.raises(TelegramBadRequest, match="query is too old"):
        await bot.answer_callback_query(query)


async def test_missing_button_cannot_be_pressed(bot: Bot, person: Person) -> None:
    """A person presses only what the bot's last message offers."""
    with pytest.raises(NoSuchButtonError):
        person.press("ok")
    link = InlineKeyboardMarkup(inline_keyboard=[[InlineKeyboardButton(text="a", url="tg://x")]])
    await bot.send_message(person.chat["id"], "?", reply_markup=link)
    with pytest.raises(NoSuchButtonError):
        person.press("a")


async def test_updates_hold_only_what_telegram_sends(bot: Bot, person: Person) -> None:
    """Every field of an update is known to aiogram, and none that it requires is missing."""
    await bot.send_message(person.chat["id"], "?", reply_markup=column(("ok", "data")))
    for raw in (person.write("/start now"), person.press("ok")):
        assert list(unknown_fields(Update.model_validate(raw))) == []


def unknown_fields(value: object) -> Iterator[str]:
    """Find the fields below `value` that aiogram's types do not have."""
    if isinstance(value, TelegramObject):
        yield from value.model_extra or ()
        value = [part for _, part in value]
    if isinstance(value, list):
        for part in value:
            yield from unknown_fields(part)
