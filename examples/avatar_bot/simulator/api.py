"""The Bot API, as far as this bot uses it: what is said, in private chats, without any I/O.

`BotApi.call` answers a method with the JSON that Telegram would send. Whoever carries it, over
HTTP or in memory, hands over the form fields as aiogram posts them.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from avatar_bot.simulator.files import Files, Json, NotAPictureError, StoredFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TOKEN = "42:in-memory"  # noqa: S105  nobody checks it
BOT: Json = {"id": 42, "is_bot": True, "first_name": "Аватар-бот", "username": "avatar_demo_bot"}
MOMENT = 1_767_225_600

MESSAGE_LENGTH = 4096
CAPTION_LENGTH = 1024
ALERT_LENGTH = 200
BUTTON_BYTES = 64
ALBUM = range(2, 11)
ATTACHED = "attach://"

Fields = dict[str, str]


class Call(NamedTuple):
    """A method that the bot called, with the fields it posted."""

    method: str
    fields: Fields

    @property
    def text(self) -> str:
        """What is said by this call, if anything."""
        media = json.loads(self.fields.get("media", "{}"))
        caption = media.get("caption", "") if isinstance(media, dict) else ""
        return self.fields.get("text") or self.fields.get("caption") or caption

    @property
    def buttons(self) -> list[str]:
        """The texts of the inline buttons, from top to bottom."""
        markup = json.loads(self.fields.get("reply_markup", "{}"))
        return [button["text"] for row in markup.get("inline_keyboard", []) for button in row]


class RefusedError(Exception):
    """The Bot API refuses the request, in these words."""

    status = HTTPStatus.BAD_REQUEST
    prefix = "Bad Request"


class BadRequestError(RefusedError):
    """Something is wrong with the request."""


class ForbiddenError(RefusedError):
    """The person does not want to hear from the bot."""

    status = HTTPStatus.FORBIDDEN
    prefix = "Forbidden"


class BotApi:
    """The server side of private chats: who is there, what was said, what was pressed."""

    def __init__(self) -> None:
        self.chats: dict[int, Json] = {}
        self.messages: dict[tuple[int, int], Json] = {}
        self.open_queries: dict[str, int] = {}
        self.blocked: set[int] = set()
        self.commands: list[Json] = []
        self.webhook: Json = _webhook("")
        self.secret = ""
        self.calls: list[Call] = []
        self.files = Files()
        self._message_ids = count(1)
        self._groups = count(1)
        self._uploads: Mapping[str, bytes] = {}
        self._methods: dict[str, Callable[[Fields], object]] = {
            "getMe": self._get_me,
            "setMyCommands": self._set_my_commands,
            "setWebhook": self._set_webhook,
            "deleteWebhook": self._set_webhook,
            "getWebhookInfo": lambda _: self.webhook,
            "getFile": self._get_file,
            "sendMessage": self._send_message,
            "sendPhoto": self._send_photo,
            "sendMediaGroup": self._send_media_group,
            "sendChatAction": self._send_chat_action,
            "editMessageText": self._edit_message_text,
            "editMessageCaption": self._edit_message_caption,
            "editMessageMedia": self._edit_message_media,
            "editMessageReplyMarkup": self._edit_message_reply_markup,
            "deleteMessage": self._delete_message,
            "answerCallbackQuery": self._answer_callback_query,
        }

    def moment(self, number: int) -> int:
        """Return when a message was written; here each has a second of its own."""
        return MOMENT + number

    def happened(self, chat_id: int, kind: str, what: Json) -> None:
        """Tell whoever watches a chat; here nobody does."""

    def call(
        self, method: str, fields: Fields, uploads: Mapping[str, bytes] | None = None
    ) -> tuple[HTTPStatus, Json]:
        """Return status and body of the answer to a method of the Bot API."""
        self.calls.append(Call(method, fields))
        self._uploads = uploads or {}
        if (answer := self._methods.get(method)) is None:
            return failure(HTTPStatus.NOT_FOUND, "Not Found")
        try:
            return HTTPStatus.OK, {"ok": True, "result": answer(fields)}
        except RefusedError as error:
            return failure(error.status, f"{error.prefix}: {error}")
        except (KeyError, ValueError, TypeError):
            return failure(HTTPStatus.BAD_REQUEST, "Bad Request: a parameter is missing or wrong")

    def store(self, chat: Json, sender: Json, content: Json) -> Json:
        """Keep a message and return it as Telegram sends it."""
        self.chats[chat["id"]] = chat
        number = next(self._message_ids)
        date = self.moment(number)
        head = {"message_id": number, "from": sender, "chat": chat, "date": date}
        message = self.messages[chat["id"], number] = {**head, **content}
        self.happened(chat["id"], "message", message)
        return message

    def next_group(self) -> str:
        """Return an id for an album."""
        return str(7_000_000_000 + next(self._groups))

    def _get_me(self, _fields: Fields) -> Json:
        return {**BOT, "can_join_groups": False, "supports_inline_queries": False}

    def _set_my_commands(self, fields: Fields) -> bool:
        self.commands = json.loads(fields["commands"])
        return True

    def _set_webhook(self, fields: Fields) -> bool:
        self.webhook = _webhook(fields.get("url", ""))
        self.secret = fields.get("secret_token", "")
        return True

    def _get_file(self, fields: Fields) -> Json:
        stored = self.files.by_id(fields["file_id"])
        if stored is None:
            raise BadRequestError("wrong file_id or the file is temporarily unavailable")
        size = {"file_size": len(stored.data), "file_path": stored.path}
        return {"file_id": stored.file_id, "file_unique_id": stored.unique_id, **size}

    def _send_message(self, fields: Fields) -> Json:
        return self.store(self._chat(fields), BOT, _text(fields))

    def _send_photo(self, fields: Fields) -> Json:
        chat = self._chat(fields)
        photo = self._photo(fields["photo"])
        return self.store(chat, BOT, {"photo": photo, **_caption(fields)})

    def _send_media_group(self, fields: Fields) -> list[Json]:
        chat = self._chat(fields)
        media = json.loads(fields["media"])
        if len(media) not in ALBUM:
            raise BadRequestError("there must be 2 to 10 media in an album")
        parts = [{"photo": self._photo(part["media"]), **_caption(part)} for part in media]
        group = {"media_group_id": self.next_group()}
        return [self.store(chat, BOT, {**group, **part}) for part in parts]

    def _send_chat_action(self, fields: Fields) -> bool:
        chat = self._chat(fields)
        self.happened(chat["id"], "action", {"action": fields["action"]})
        return True

    def _edit_message_text(self, fields: Fields) -> Json:
        message = self._mine(fields, "edit")
        if "text" not in message:
            raise BadRequestError("there is no text in the message to edit")
        return self._replace(message, _text(fields), ("text", "reply_markup"))

    def _edit_message_caption(self, fields: Fields) -> Json:
        message = self._mine(fields, "edit")
        return self._replace(message, _caption(fields), ("caption", "reply_markup"))

    def _edit_message_media(self, fields: Fields) -> Json:
        message = self._mine(fields, "edit")
        media = json.loads(fields["media"])
        content = {"photo": self._photo(media["media"]), **_caption(media), **_markup(fields)}
        return self._replace(message, content, ("text", "photo", "caption", "reply_markup"))

    def _edit_message_reply_markup(self, fields: Fields) -> Json:
        return self._replace(self._mine(fields, "edit"), _markup(fields), ("reply_markup",))

    def _delete_message(self, fields: Fields) -> bool:
        message = self._mine(fields, "delete")
        chat_id, number = message["chat"]["id"], message["message_id"]
        del self.messages[chat_id, number]
        self.happened(chat_id, "delete", {"message_id": number})
        return True

    def _answer_callback_query(self, fields: Fields) -> bool:
        query = fields["callback_query_id"]
        if query not in self.open_queries:
            raise BadRequestError(_OLD_QUERY)
        if len(fields.get("text", "")) > ALERT_LENGTH:
            raise BadRequestError("MESSAGE_TOO_LONG")
        alert = {"text": fields.get("text", ""), "alert": fields.get("show_alert") == "true"}
        self.happened(self.open_queries.pop(query), "answer", {"query": query, **alert})
        return True

    def _chat(self, fields: Fields) -> Json:
        """Return the chat that the bot may write to."""
        chat = self.chats.get(int(fields["chat_id"]))
        if chat is None:
            raise BadRequestError("chat not found")
        if chat["id"] in self.blocked:
            raise ForbiddenError("bot was blocked by the user")
        return chat

    def _mine(self, fields: Fields, what: str) -> Json:
        """Return the bot's own message that is to be changed."""
        message = self.messages.get((int(fields["chat_id"]), int(fields["message_id"])))
        if message is None or message["from"] != BOT:
            raise BadRequestError(f"message to {what} not found")
        return message

    def _replace(self, message: Json, content: Json, names: tuple[str, ...]) -> Json:
        if content == {name: message[name] for name in names if name in message}:
            raise BadRequestError(_NOT_MODIFIED)
        for name in names:
            message.pop(name, None)
        message.update(content, edit_date=self.moment(message["message_id"] + 1))
        self.happened(message["chat"]["id"], "edit", message)
        return message

    def _photo(self, given: str) -> list[Json]:
        """Return the sizes of a photo that is uploaded or known."""
        return self._stored(given).photo()

    def _stored(self, given: str) -> StoredFile:
        if given.startswith(ATTACHED):
            try:
                return self.files.add(self._uploads[given.removeprefix(ATTACHED)])
            except NotAPictureError:
                raise BadRequestError("IMAGE_PROCESS_FAILED") from None
        stored = self.files.by_id(given)
        if stored is None:
            raise BadRequestError("wrong file identifier/HTTP URL specified")
        return stored


_OLD_QUERY = "query is too old and response timeout expired or query ID is invalid"
_NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup"
    " are exactly the same as a current content and reply markup of the message"
)


def failure(status: HTTPStatus, description: str) -> tuple[HTTPStatus, Json]:
    """Return an answer that is an error."""
    return status, {"ok": False, "error_code": status.value, "description": description}


def _webhook(url: str) -> Json:
    return {"url": url, "has_custom_certificate": False, "pending_update_count": 0}


def _text(fields: Fields) -> Json:
    """Return text and keyboard of a message, checked as the Bot API checks them."""
    text = fields.get("text", "").strip()
    if not text:
        raise BadRequestError("message text is empty")
    if len(text) > MESSAGE_LENGTH:
        raise BadRequestError("message is too long")
    return {"text": text, **_markup(fields)}


def _caption(fields: Fields) -> Json:
    """Return caption and keyboard of a photo, checked."""
    caption = (fields.get("caption") or "").strip()
    if len(caption) > CAPTION_LENGTH:
        raise BadRequestError("message caption is too long")
    return {**({"caption": caption} if caption else {}), **_markup(fields)}


def _markup(fields: Fields) -> Json:
    """Return the keyboard if there is one and every button's data fits."""
    if "reply_markup" not in fields:
        return {}
    markup = json.loads(fields["reply_markup"])
    for row in markup["inline_keyboard"]:
        for button in row:
            if len(button.get("callback_data", "").encode()) > BUTTON_BYTES:
                raise BadRequestError("BUTTON_DATA_INVALID")
    return {"reply_markup": markup} if markup["inline_keyboard"] else {}
