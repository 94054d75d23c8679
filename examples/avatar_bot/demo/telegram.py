"""Telegram, as far as this bot uses it, in memory.

`Telegram` stands where aiogram's HTTP client stands. Every method is turned into the form fields
that would be posted, answered with the JSON that the Bot API would send, and read by aiogram's own
response check, so errors arrive as aiogram's exceptions.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from aiogram.client.session.base import BaseSession

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from aiogram import Bot
    from aiogram.methods import TelegramMethod
    from aiogram.methods.base import TelegramType

Json: TypeAlias = dict[str, Any]

TOKEN = "42:in-memory"  # noqa: S105  nobody checks it
BOT: Json = {"id": 42, "is_bot": True, "first_name": "Аватар-бот", "username": "avatar_demo_bot"}
MOMENT = 1_767_225_600

MESSAGE_LENGTH = 4096
ALERT_LENGTH = 200
BUTTON_BYTES = 64


class Call(NamedTuple):
    """A method that the bot called, with the fields it posted."""

    method: str
    fields: dict[str, str]

    @property
    def text(self) -> str:
        """What is said by this call, if anything."""
        return self.fields.get("text", "")

    @property
    def buttons(self) -> list[str]:
        """The texts of the inline buttons, from top to bottom."""
        markup = json.loads(self.fields.get("reply_markup", "{}"))
        return [button["text"] for row in markup.get("inline_keyboard", []) for button in row]


class BadRequestError(Exception):
    """The Bot API refuses the request, in these words."""


class Telegram(BaseSession):
    """The server side of private chats: who is there, what was said, what was pressed."""

    def __init__(self) -> None:
        super().__init__()
        self.chats: dict[int, Json] = {}
        self.messages: dict[tuple[int, int], Json] = {}
        self.open_queries: set[str] = set()
        self.calls: list[Call] = []
        self._message_ids = count(1)
        self._methods: dict[str, Callable[[dict[str, str]], object]] = {
            "getMe": self._get_me,
            "sendMessage": self._send_message,
            "editMessageText": self._edit_message_text,
            "answerCallbackQuery": self._answer_callback_query,
        }

    def store(self, chat: Json, sender: Json, content: Json) -> Json:
        """Keep a message and return it as Telegram sends it."""
        self.chats[chat["id"]] = chat
        number = next(self._message_ids)
        head = {"message_id": number, "from": sender, "chat": chat, "date": MOMENT + number}
        message = self.messages[chat["id"], number] = {**head, **content}
        return message

    async def make_request(
        self,
        bot: Bot,
        method: TelegramMethod[TelegramType],
        timeout: int | None = None,  # noqa: ARG002, ASYNC109  the signature is aiogram's
    ) -> TelegramType:
        """Answer a method of the Bot API."""
        call = Call(method.__api_method__, self._fields(bot, method))
        self.calls.append(call)
        status, body = self._reply(call)
        response = self.check_response(bot, method, status, json.dumps(body))
        return cast("TelegramType", response.result)

    def stream_content(
        self,
        url: str,
        headers: dict[str, Any] | None = None,
        timeout: int = 30,
        chunk_size: int = 65536,
        raise_for_status: bool = True,  # noqa: FBT001, FBT002
    ) -> AsyncGenerator[bytes, None]:
        """Refuse: there are no files here."""
        del headers, timeout, chunk_size, raise_for_status
        raise FileNotFoundError(url)

    async def close(self) -> None:
        """Do nothing: there is no connection."""

    def _fields(self, bot: Bot, method: TelegramMethod[TelegramType]) -> dict[str, str]:
        """Return the form fields that aiogram's HTTP client would post."""
        values = method.model_dump(warnings=False).items()
        prepared = ((name, self.prepare_value(value, bot, files={})) for name, value in values)
        return {name: value for name, value in prepared if value}

    def _reply(self, call: Call) -> tuple[HTTPStatus, Json]:
        """Return status and body of the answer to a call."""
        if (answer := self._methods.get(call.method)) is None:
            return _failure(HTTPStatus.NOT_FOUND, "Not Found")
        try:
            return HTTPStatus.OK, {"ok": True, "result": answer(call.fields)}
        except BadRequestError as error:
            return _failure(HTTPStatus.BAD_REQUEST, f"Bad Request: {error}")

    def _get_me(self, _fields: dict[str, str]) -> Json:
        return {**BOT, "can_join_groups": False, "supports_inline_queries": False}

    def _send_message(self, fields: dict[str, str]) -> Json:
        chat = self.chats.get(int(fields["chat_id"]))
        if chat is None:
            raise BadRequestError("chat not found")
        return self.store(chat, BOT, _content(fields))

    def _edit_message_text(self, fields: dict[str, str]) -> Json:
        message = self.messages.get((int(fields["chat_id"]), int(fields["message_id"])))
        if message is None or message["from"] != BOT:
            raise BadRequestError("message to edit not found")
        content = _content(fields)
        if content == {name: message[name] for name in _CONTENT if name in message}:
            raise BadRequestError(_NOT_MODIFIED)
        for name in _CONTENT:
            message.pop(name, None)
        message.update(content, edit_date=message["date"] + 1)
        return message

    def _answer_callback_query(self, fields: dict[str, str]) -> bool:
        query = fields["callback_query_id"]
        if query not in self.open_queries:
            raise BadRequestError(_OLD_QUERY)
        if len(fields.get("text", "")) > ALERT_LENGTH:
            raise BadRequestError("MESSAGE_TOO_LONG")
        self.open_queries.remove(query)
        return True


_CONTENT = ("text", "reply_markup")
_OLD_QUERY = "query is too old and response timeout expired or query ID is invalid"
_NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup"
    " are exactly the same as a current content and reply markup of the message"
)


def _failure(status: HTTPStatus, description: str) -> tuple[HTTPStatus, Json]:
    return status, {"ok": False, "error_code": status.value, "description": description}


def _content(fields: dict[str, str]) -> Json:
    """Return text and keyboard of a message, checked as the Bot API checks them."""
    text = fields.get("text", "").strip()
    if not text:
        raise BadRequestError("message text is empty")
    if len(text) > MESSAGE_LENGTH:
        raise BadRequestError("message is too long")
    if "reply_markup" not in fields:
        return {"text": text}
    return {"text": text, "reply_markup": _keyboard(json.loads(fields["reply_markup"]))}


def _keyboard(markup: Json) -> Json:
    """Return the keyboard if every button's data fits."""
    for row in markup["inline_keyboard"]:
        for button in row:
            if len(button.get("callback_data", "").encode()) > BUTTON_BYTES:
                raise BadRequestError("BUTTON_DATA_INVALID")
    return markup
