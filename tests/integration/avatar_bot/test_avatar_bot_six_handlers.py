"""The six handlers of the report: as they broke, and as they work."""

from __future__ import annotations

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from sqlalchemy.orm.exc import DetachedInstanceError

from avatar_bot.engine import Sessions, create_sessionmaker
from avatar_bot.keyboards.avatar import act
from avatar_bot.keyboards.buttons import Action, GalleryPage
from avatar_bot.keyboards.main import BACK_TO_MAIN, CREATE_AVATAR, NEW_AVATAR
from avatar_bot.locales import ru
from avatar_bot.models import AvatarGender
from avatar_bot.services import AvatarService, UserService
from avatar_bot.services.training import PRICE
from avatar_bot.services.user import WELCOME_COINS
from sqla_safe import scoped_services
from tests.integration.avatar_bot.chat import TELEGRAM_ID, Chat

ANSWERS = {
    "main_menu": (BACK_TO_MAIN, ru.main_menu(WELCOME_COINS)),
    "main": (CREATE_AVATAR, ru.avatar_menu(WELCOME_COINS, 1, PRICE)),
    "create": (NEW_AVATAR, ru.ask_name(WELCOME_COINS, PRICE)),
    "photo_upload": (act(Action.PHOTOS, 1), ru.ask_photos("Летний", 3, 3, 10)),
    "training_production": (
        act(Action.DONE, 1),
        ru.confirm_training("Летний", 3, PRICE, WELCOME_COINS),
    ),
    "gallery": (
        GalleryPage(page=0).pack(),
        "⭐ Летний\n\nТип: портрет\nСостояние: черновик\nФото: 3\n\n1 из 1",
    ),
}
ERRORS = {
    False: "lazy load operation of attribute 'balance' cannot proceed",
    True: "attribute refresh operation cannot proceed",
}


@pytest.fixture(params=[False, True], ids=["kept", "expired-on-commit"])
def expires(request: pytest.FixtureRequest) -> bool:
    """Say whether the sessionmaker is SQLAlchemy's default one, or the bot's."""
    return request.param


@pytest.fixture
def sessions(engine: AsyncEngine, expires: bool) -> Sessions:
    """Give one sessionmaker or the other."""
    return async_sessionmaker(engine) if expires else create_sessionmaker(engine)


@pytest.fixture
async def chat(sessions: Sessions) -> Chat:
    """Give a chat with a user who has an avatar with three photos."""
    chat = Chat(sessions)
    await chat.write("/start")
    async with scoped_services(sessions, UserService, AvatarService) as (users, avatars):
        user = await users.get_user_by_telegram_id(TELEGRAM_ID)
        assert user is not None
        avatar = await avatars.create_avatar(user.id, "Летний", AvatarGender.FEMALE)
        for number in range(3):
            await avatars.add_photo(avatar, f"photo-{number}")
    return chat


@pytest.mark.parametrize("handler", ANSWERS)
async def test_unsafe_handler_raises_the_reported_error(
    chat: Chat, handler: str, expires: bool
) -> None:
    """Two service blocks and `user.balance` after them: every one of the six breaks."""
    data, _ = ANSWERS[handler]
    update = chat.person.callback(chat.person.last_message(), data)
    with pytest.raises(DetachedInstanceError, match=ERRORS[expires]):
        await chat.feed(update, chat.unsafe)
    assert chat.telegram.calls[-1].text == ru.FAILED


@pytest.mark.parametrize("handler", ANSWERS)
async def test_safe_handler_answers(chat: Chat, handler: str) -> None:
    """The same press is answered, whatever the commit does to entities."""
    data, text = ANSWERS[handler]
    calls = await chat.press_data(data)
    assert next(call.text for call in calls if call.text) == text
    assert calls[-1].method == "answerCallbackQuery"
    assert not chat.telegram.open_queries


@pytest.mark.parametrize("handler", ANSWERS)
async def test_unsafe_handler_knows_unknown_users(chat: Chat, handler: str) -> None:
    """As before: who never sent /start is asked to, and only known users met the bug."""
    data, _ = ANSWERS[handler]
    update = chat.person.callback(chat.person.last_message(), data)
    update["callback_query"]["from"] |= {"id": 1}
    [answer] = await chat.feed(update, chat.unsafe)
    assert answer.text == ru.UNKNOWN_USER
