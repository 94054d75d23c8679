"""A person with a phone: writes to the bot, sends photos and presses its buttons.

What a person does becomes an `Update` in the JSON that Telegram sends to a bot.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from avatar_bot.simulator.api import BOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from avatar_bot.simulator.api import BotApi
    from avatar_bot.simulator.files import Json

_update_ids = count(830_000_001)


class NoSuchButtonError(LookupError):
    """The last message of the bot has no button with this text."""


class Person:
    """One user in a private chat with the bot."""

    def __init__(
        self, telegram: BotApi, telegram_id: int, name: str, username: str, language: str = "ru"
    ) -> None:
        self.telegram = telegram
        self.name = name
        names = {"first_name": name, "username": username}
        self.sender: Json = {
            "id": telegram_id,
            "is_bot": False,
            **names,
            "language_code": language,
        }
        self.chat: Json = {"id": telegram_id, **names, "type": "private"}

    def write(self, text: str) -> Json:
        """Return the update for a message of this person."""
        content: Json = {"text": text}
        if text.startswith("/"):
            length = len(text.split(maxsplit=1)[0])
            content["entities"] = [{"offset": 0, "length": length, "type": "bot_command"}]
        return self._message(content)

    def send_photos(self, *pictures: bytes) -> list[Json]:
        """Return the updates for photos; more than one are an album.

        Raises:
            NotAPictureError: One of them is none.
        """
        stored: Sequence[Json] = [
            {"photo": self.telegram.files.add(data).photo()} for data in pictures
        ]
        album = {"media_group_id": self.telegram.next_group()} if len(pictures) > 1 else {}
        return [self._message({**photo, **album}) for photo in stored]

    def press(self, button: str) -> Json:
        """Return the update for a press on a button of the bot's last message."""
        message = self.last_message()
        rows = message.get("reply_markup", {}).get("inline_keyboard", [])
        keys = {key["text"]: key.get("callback_data") for row in rows for key in row}
        if (data := keys.get(button)) is None:
            raise NoSuchButtonError(button)
        return self.callback(message, data)

    def callback(self, message: Json, data: str) -> Json:
        """Return the update for callback data sent from `message`."""
        update = _update("callback_query", {"from": self.sender, "message": dict(message)})
        query = update["callback_query"]
        query |= {"id": str(update["update_id"] << 32), "chat_instance": "-384", "data": data}
        self.telegram.open_queries[query["id"]] = self.chat["id"]
        return update

    def last_message(self) -> Json:
        """Return the newest message of the bot in this person's chat; empty without one."""
        messages = self.telegram.messages.values()
        mine = (m for m in messages if m["chat"] == self.chat and m["from"] == BOT)
        return max(mine, key=lambda message: int(message["message_id"]), default={})

    def _message(self, content: Json) -> Json:
        return _update("message", dict(self.telegram.store(self.chat, self.sender, content)))


def _update(kind: str, content: Json) -> Json:
    return {"update_id": next(_update_ids), kind: content}
