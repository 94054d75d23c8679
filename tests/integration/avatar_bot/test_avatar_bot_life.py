"""An avatar's life, from its name to its deletion, through the bot's buttons."""

from __future__ import annotations

import asyncio
from itertools import cycle

import pytest
from aiogram.exceptions import TelegramForbiddenError
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from avatar_bot.dispatcher import create_dispatcher
from avatar_bot.keyboards.avatar import CANCEL, act
from avatar_bot.keyboards.buttons import Action, GalleryPage
from avatar_bot.locales import en, ru
from avatar_bot.models import (
    AlbumPart,
    Avatar,
    AvatarGender,
    AvatarPhoto,
    AvatarStatus,
    AvatarType,
    User,
)
from avatar_bot.notifications import top_up
from avatar_bot.services import AvatarService, UserService
from avatar_bot.services.training import PRICE
from avatar_bot.services.user import WELCOME_COINS
from sqla_safe import asnapshot, scoped_services
from tests.integration.avatar_bot.chat import TELEGRAM_ID, Chat, picture


async def avatars_of(chat: Chat) -> tuple[Avatar, ...]:
    """Return the avatars of the person as they are stored."""
    async with scoped_services(chat.sessions, UserService, AvatarService) as (users, avatars):
        user = await users.get_user_by_telegram_id(TELEGRAM_ID)
        assert user is not None
        return await asnapshot(await avatars.get_user_avatars_with_photos(user.id))


# creation


async def test_creation_asks_three_questions_and_stores_a_draft(chat: Chat) -> None:
    """Name, gender and type make a draft, and photos are asked for."""
    edit, _ = await chat.create_avatar("  Летний ")
    assert edit.text == ru.ask_photos("Летний", 0, 3, 10)
    [avatar] = await avatars_of(chat)
    assert (avatar.name, avatar.gender, avatar.type, avatar.status, avatar.is_main) == (
        "Летний",
        AvatarGender.FEMALE,
        AvatarType.PORTRAIT,
        AvatarStatus.DRAFT,
        True,
    )


@pytest.mark.parametrize("steps", range(4))
async def test_creation_can_be_cancelled_at_each_step(chat: Chat, steps: int) -> None:
    """The button leads back to the menu, and nothing but what was finished is stored."""
    await chat.write("/start")
    await chat.press_data("new_avatar")
    answers = [chat.write("Летний"), chat.press_data("choice:gender:female")]
    answers.append(chat.press_data("choice:type:style"))
    for answer in answers[:steps]:
        await answer
    for answer in answers[steps:]:
        answer.close()
    edit, _ = await chat.press(ru.CANCEL)
    created = 1 if steps == 3 else 0
    assert edit.text == ru.avatar_menu(WELCOME_COINS, created, PRICE)
    assert (await chat.write("что-нибудь"))[0].text == ru.UNKNOWN_INPUT


@pytest.mark.parametrize("name", ["", "я" * 33, "две\nстроки", "/bad"])
async def test_a_bad_name_is_asked_again(chat: Chat, name: str) -> None:
    """A name is one line of 1 to 32 characters; a photo is no name."""
    await chat.write("/start")
    await chat.press_data("new_avatar")
    answers = await (chat.write(name) if name else chat.send_photos(picture(1)))
    assert answers[0].text == ru.BAD_NAME


async def test_writing_where_a_button_is_wanted(chat: Chat) -> None:
    """The bot points at its buttons."""
    await chat.write("/start")
    await chat.press_data("new_avatar")
    await chat.write("Летний")
    assert (await chat.write("женский"))[0].text == ru.USE_BUTTONS


async def test_two_presses_at_once_create_one_avatar(chat: Chat) -> None:
    """The last question answered twice at the same moment is answered twice and stored once."""
    await chat.write("/start")
    await chat.press_data("new_avatar")
    await chat.write("Летний")
    await chat.press(ru.FEMALE)
    await asyncio.gather(chat.press(ru.PORTRAIT), chat.press(ru.PORTRAIT))
    assert len(await avatars_of(chat)) == 1
    assert not chat.telegram.open_queries


async def test_old_buttons_are_answered(chat: Chat) -> None:
    """A question of long ago, and a button that nobody knows, end their loading."""
    await chat.write("/start")
    for data in ("choice:gender:female", CANCEL, "nonsense", "avatar:nonsense:1:0"):
        [answer] = await chat.press_data(data)
        assert answer.text == ru.OLD_BUTTON


# photos


async def test_an_album_is_stored_whole_and_answered_once(chat: Chat) -> None:
    """Photos that arrive together are one answer with one progress bar."""
    await chat.create_avatar()
    [answer] = await chat.send_photos(*(picture(number) for number in range(4)))
    assert answer.text == ru.ask_photos("Летний", 4, 3, 10)
    [avatar] = await avatars_of(chat)
    assert len(avatar.photos) == 4


async def test_photos_keep_the_order_of_their_messages(chat: Chat) -> None:
    """Whichever of an album is stored first, the first one sent is the first one."""
    await chat.create_avatar()
    updates = chat.person.send_photos(*(picture(number) for number in range(4)))
    await asyncio.gather(*(chat.feed(update, chat.safe) for update in reversed(updates)))
    [avatar] = await avatars_of(chat)
    sent = [update["message"]["photo"][-1]["file_id"] for update in updates]
    assert [photo.file_id for photo in avatar.photos] == sent


async def test_an_album_that_two_processes_got_is_answered_once(chat: Chat) -> None:
    """Each stores its photos, and one of them tells of all: what was taken and what was not."""
    await chat.create_avatar()
    other = create_dispatcher(chat.sessions, storage=chat.safe.fsm.storage)
    other["albums"].quiet = chat.safe["albums"].quiet = 0.3
    pictures = [picture(1), picture(2), picture(3), picture(3), picture(20, side=100)]
    updates = chat.person.send_photos(*pictures)
    before = len(chat.telegram.calls)
    fed = zip(updates, cycle([chat.safe, other]), strict=False)
    await asyncio.gather(*(chat.feed(update, dispatcher) for update, dispatcher in fed))
    [answer] = chat.telegram.calls[before:]
    assert answer.text.startswith(ru.photos_refused(1, 1, 0, 10, 320))
    assert answer.text.endswith(ru.ask_photos("Летний", 3, 3, 10))
    async with chat.sessions() as session:
        assert (await session.scalars(select(AlbumPart))).all() == []


async def test_a_late_photo_of_an_album_is_answered_by_itself(chat: Chat) -> None:
    """What arrives after the answer is not lost, and not told twice."""
    await chat.create_avatar()
    *first, late = chat.person.send_photos(*(picture(number) for number in range(3)))
    await asyncio.gather(*(chat.feed(update, chat.safe) for update in first))
    [answer] = await chat.feed(late, chat.safe)
    assert answer.text == ru.ask_photos("Летний", 3, 3, 10)


async def test_photos_that_nobody_waits_for_are_explained(chat: Chat) -> None:
    """One answer, also for an album, says what to do first."""
    await chat.write("/start")
    for count in (1, 3):
        [answer] = await chat.send_photos(*(picture(number) for number in range(count)))
        assert answer.text == ru.PHOTO_UNEXPECTED


async def test_two_presses_on_a_picture_give_one_new_message(chat: Chat) -> None:
    """A picture cannot become a text: the first press replaces it, and the second finds it gone."""
    await gallery(chat, "Первый")
    press = chat.person.press(ru.DELETE), chat.person.press(ru.DELETE)
    before = len(chat.telegram.calls)
    await asyncio.gather(*(chat.feed(update, chat.safe) for update in press))
    methods = [call.method for call in chat.telegram.calls[before:]]
    assert (methods.count("sendMessage"), methods.count("answerCallbackQuery")) == (1, 2)


async def test_what_was_done_is_told_in_passing(chat: Chat) -> None:
    """Cancelling, choosing the main avatar and deleting are confirmed over the next screen."""
    await gallery(chat, "Первый", "Второй")
    await chat.press("▶️")
    assert (await chat.press(ru.MAKE_MAIN))[-1].text == ru.NOW_MAIN
    await chat.press(ru.DELETE)
    assert (await chat.press(ru.REALLY_DELETE))[-1].text == ru.DELETED
    await chat.press(ru.RENAME)
    assert (await chat.press(ru.CANCEL))[-1].text == ru.CANCELLED


async def test_photos_are_checked(chat: Chat) -> None:
    """Small ones, repeated ones and those beyond the limit are told apart and not stored."""
    await chat.create_avatar()
    await chat.send_photos(*(picture(number) for number in range(9)))
    [answer] = await chat.send_photos(picture(1), picture(20, side=100))
    assert answer.text.startswith(ru.photos_refused(1, 1, 0, 10, 320))
    await chat.send_photos(picture(10))
    [answer] = await chat.send_photos(picture(11))
    assert answer.text.startswith(ru.photos_refused(0, 0, 1, 10, 320))
    assert len((await avatars_of(chat))[0].photos) == 10


async def test_something_else_than_a_photo_is_explained(chat: Chat) -> None:
    """Text and files get a hint while photos are expected."""
    await chat.create_avatar()
    assert (await chat.write("готово"))[0].text == ru.PHOTO_WANTED
    update = chat.person.write("x")
    del update["message"]["text"]
    update["message"]["document"] = {"file_id": "f", "file_unique_id": "u"}
    assert (await chat.feed(update, chat.safe))[0].text == ru.PHOTO_AS_FILE


async def test_too_few_photos_are_told_in_an_alert(chat: Chat) -> None:
    """Training needs three photos, and the photo screen stays."""
    await chat.create_avatar()
    await chat.send_photos(picture(1))
    [answer] = await chat.press(ru.PHOTOS_DONE)
    assert answer.text == ru.too_few_photos(1, 3)
    [answer] = await chat.send_photos(picture(2))
    assert answer.text == ru.ask_photos("Летний", 2, 3, 10)


async def test_photos_for_an_avatar_that_is_gone(chat: Chat) -> None:
    """Whoever sends photos for a deleted avatar is told so."""
    await chat.create_avatar()
    async with chat.sessions.begin() as session:
        await session.execute(delete(Avatar))
    [answer] = await chat.send_photos(picture(1))
    assert answer.text == ru.UNKNOWN_AVATAR


async def test_photos_while_it_is_in_training(chat: Chat) -> None:
    """A training avatar takes no photos."""
    await chat.start_training()
    await chat.press_data(act(Action.PHOTOS, 1))
    [answer] = await chat.send_photos(picture(9))
    assert ru.BUSY in answer.text
    assert len((await avatars_of(chat))[0].photos) == 3


# gallery


async def gallery(chat: Chat, *names: str) -> None:
    """Store drafts and open the gallery."""
    await chat.write("/start")
    async with scoped_services(chat.sessions, UserService, AvatarService) as (users, avatars):
        user = await users.get_user_by_telegram_id(TELEGRAM_ID)
        assert user is not None
        for name in names:
            await avatars.create_avatar(user.id, name, AvatarGender.MALE)
    await chat.press(ru.GALLERY)


async def test_an_empty_gallery_invites(chat: Chat) -> None:
    """Without avatars the gallery leads to the first one."""
    await gallery(chat)
    assert chat.person.last_message()["text"] == ru.NO_AVATARS


async def test_the_gallery_turns_its_pages_in_one_message(chat: Chat) -> None:
    """Pages go round; each is a picture that replaces the one before."""
    await gallery(chat, "Первый", "Второй")
    for button, name in (("▶️", "Второй"), ("▶️", "Первый"), ("◀️", "Второй")):
        edit, _ = await chat.press(button)
        assert edit.method == "editMessageMedia"
        assert name in chat.person.last_message()["caption"]
    own = [m for m in chat.telegram.messages.values() if m["from"]["is_bot"]]
    assert len(own) == 1


async def test_two_different_presses_on_one_message_are_no_error(chat: Chat) -> None:
    """Of "next page" and "main menu" at once both are answered, whoever finds the message gone."""
    await gallery(chat, "Первый", "Второй")
    shown = chat.person.last_message()
    presses = [chat.person.callback(shown, data) for data in ("back_to_main", "gallery:1")]
    for press in presses:
        await chat.feed(press, chat.safe)
    assert chat.telegram.open_queries == {}
    assert chat.person.last_message()["text"] == ru.main_menu(WELCOME_COINS)


async def test_another_avatar_becomes_the_main_one(chat: Chat) -> None:
    """There is one main avatar, and the card shows it."""
    await gallery(chat, "Первый", "Второй")
    await chat.press("▶️")
    await chat.press(ru.MAKE_MAIN)
    assert chat.person.last_message()["caption"].startswith("⭐ Второй")
    assert [avatar.is_main for avatar in await avatars_of(chat)] == [False, True]


async def test_an_avatar_is_renamed(chat: Chat) -> None:
    """The new name is checked, stored, and then confirmed."""
    await gallery(chat, "Первый")
    await chat.press(ru.RENAME)
    assert (await chat.write("я" * 40))[0].text == ru.BAD_NAME
    assert (await chat.write("Лучший"))[0].text == ru.renamed("Лучший")
    assert [avatar.name for avatar in await avatars_of(chat)] == ["Лучший"]


async def test_an_avatar_is_deleted_after_a_question(chat: Chat) -> None:
    """It goes with its photos, and the oldest one left becomes the main one."""
    await gallery(chat, "Первый", "Второй")
    await chat.press(ru.DELETE)
    assert chat.person.last_message()["text"] == ru.really_delete("Первый")
    await chat.press(ru.REALLY_DELETE)
    assert [(avatar.name, avatar.is_main) for avatar in await avatars_of(chat)] == [
        ("Второй", True)
    ]


async def test_photos_go_with_their_avatar(chat: Chat) -> None:
    """No photo stays behind in the database."""
    await chat.create_avatar()
    await chat.send_photos(picture(1), picture(2))
    await chat.press_data(act(Action.REALLY_DELETE, 1))
    async with chat.sessions() as session:
        assert await session.scalar(select(func.count(AvatarPhoto.id))) == 0


async def test_an_avatar_in_training_is_not_deleted(chat: Chat) -> None:
    """It is paid for: the bot asks to wait."""
    await chat.start_training()
    [answer] = await chat.press_data(act(Action.REALLY_DELETE, 1))
    assert answer.text == ru.BUSY
    assert len(await avatars_of(chat)) == 1


async def test_source_photos_are_an_album(chat: Chat) -> None:
    """The photos come back as they were sent: several as an album, one as a photo."""
    await chat.create_avatar()
    await chat.send_photos(picture(1))
    photo, _ = await chat.press_data(act(Action.SOURCES, 1))
    assert photo.method == "sendPhoto"
    await chat.send_photos(picture(2))
    album, _ = await chat.press_data(act(Action.SOURCES, 1))
    assert album.method == "sendMediaGroup"


async def test_no_source_photos_is_an_alert(chat: Chat) -> None:
    """An avatar without photos has nothing to show."""
    await chat.create_avatar()
    [answer] = await chat.press_data(act(Action.SOURCES, 1))
    assert answer.text == ru.NO_PHOTOS


@pytest.mark.parametrize("action", [a for a in Action if a is not Action.RENAME])
async def test_nobody_reaches_the_avatars_of_others(chat: Chat, action: Action) -> None:
    """A button with a foreign number is answered, and changes nothing."""
    await chat.write("/start")
    async with scoped_services(chat.sessions, UserService, AvatarService) as (users, avatars):
        other = await users.register_user(5, "Борис")
        await avatars.create_avatar(other.id, "Чужой", AvatarGender.MALE)
    calls = await chat.press_data(act(action, 1))
    assert calls[0].text in {ru.UNKNOWN_AVATAR, ru.NO_PHOTOS, ru.NO_AVATARS}
    async with chat.sessions() as session:
        assert (await session.scalars(select(Avatar.name))).all() == ["Чужой"]


async def test_a_foreign_avatar_is_not_renamed(chat: Chat) -> None:
    """The new name is refused when it arrives."""
    await chat.write("/start")
    await chat.press_data(act(Action.RENAME, 77))
    assert (await chat.write("Мой"))[0].text == ru.UNKNOWN_AVATAR


# everything else


async def test_unknown_input_and_help(chat: Chat) -> None:
    """What the bot does not understand is answered, also before /start."""
    assert (await chat.write("привет"))[0].text == ru.UNKNOWN_INPUT
    assert (await chat.write("/help"))[0].text == ru.HELP


async def test_english_speakers_are_answered_in_english(chat: Chat) -> None:
    """The language of the person's Telegram decides, also for what the bot sends by itself."""
    chat.person.sender["language_code"] = "en-GB"
    [answer] = await chat.write("/start")
    assert answer.text == en.welcome("Анна", WELCOME_COINS)
    await top_up(chat.bot, chat.sessions, TELEGRAM_ID, 1)
    assert chat.telegram.calls[-1].text == en.topped_up(1, WELCOME_COINS + 1)


async def test_a_blocked_bot_is_no_error(chat: Chat) -> None:
    """Whoever blocks the bot gets his coins, and his last press fails nobody."""
    await chat.write("/start")
    update = chat.person.write("/start")
    chat.telegram.blocked.add(TELEGRAM_ID)
    await chat.feed(update, chat.safe)
    await top_up(chat.bot, chat.sessions, TELEGRAM_ID, 100)
    async with scoped_services(chat.sessions, UserService) as users:
        user = await users.get_user_by_telegram_id(TELEGRAM_ID)
        assert user is not None
        assert await users.get_user_balance(user.id) == WELCOME_COINS + 100
    with pytest.raises(TelegramForbiddenError):
        await chat.bot.send_message(TELEGRAM_ID, "?")


async def test_a_bot_blocked_in_the_middle_is_no_error(chat: Chat) -> None:
    """The new name is stored; that its confirmation does not arrive fails nobody."""
    await gallery(chat, "Первый")
    await chat.press(ru.RENAME)
    update = chat.person.write("Лучший")
    chat.telegram.blocked.add(TELEGRAM_ID)
    await chat.feed(update, chat.safe)
    assert [avatar.name for avatar in await avatars_of(chat)] == ["Лучший"]


@pytest.mark.parametrize(
    "data", ["back_to_main", "new_avatar", "create_avatar", GalleryPage(page=0).pack()]
)
async def test_a_deleted_user_is_told_what_to_do(chat: Chat, data: str) -> None:
    """Every button of a user who is gone is answered."""
    await chat.write("/start")
    async with chat.sessions.begin() as session:
        await session.execute(delete(User))
    calls = await chat.press_data(data)
    assert calls[0].text in {ru.UNKNOWN_USER, ru.NO_AVATARS}
    assert not chat.telegram.open_queries


async def test_a_user_deleted_in_the_middle_is_told(chat: Chat) -> None:
    """Also in the middle of creating an avatar, when choosing and when cancelling."""
    await chat.write("/start")
    await chat.press_data("new_avatar")
    await chat.write("Летний")
    await chat.press(ru.FEMALE)
    async with chat.sessions.begin() as session:
        await session.execute(delete(User))
    [answer] = await chat.press(ru.PORTRAIT)
    assert answer.text == ru.UNKNOWN_USER
    [answer] = await chat.press(ru.CANCEL)
    assert answer.text == ru.UNKNOWN_USER


async def test_no_handler_keeps_a_connection(chat: Chat, engine: AsyncEngine) -> None:
    """After a whole life of an avatar the pool has everything back."""
    await chat.start_training()
    await chat.press_data(GalleryPage(page=0).pack())
    assert engine.sync_engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_both_languages_say_the_same_things() -> None:
    """No text exists in one language only, and functions take the same arguments."""
    names = {name for name in vars(ru) if not name.startswith("__")}
    assert names == {name for name in vars(en) if not name.startswith("__")}
    for name in names - {"plural", "annotations"}:
        ours, theirs = getattr(ru, name), getattr(en, name)
        assert type(ours) is type(theirs)
        if callable(ours):
            assert (
                ours.__code__.co_varnames[: ours.__code__.co_argcount]
                == (theirs.__code__.co_varnames[: theirs.__code__.co_argcount])
            )
