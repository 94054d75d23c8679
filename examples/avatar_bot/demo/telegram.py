"""Telegram in memory: stands where aiogram's HTTP client stands.

Every method is turned into the form fields that would be posted, answered by the simulator's Bot
API, and read by aiogram's own response check, so errors arrive as aiogram's exceptions.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from aiogram.client.session.base import BaseSession

from avatar_bot.simulator.api import BOT, MOMENT, TOKEN, BotApi, Call
from avatar_bot.simulator.files import Json

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from aiogram import Bot
    from aiogram.methods import TelegramMethod
    from aiogram.methods.base import TelegramType
    from aiogram.types import InputFile

__all__ = ["BOT", "MOMENT", "TOKEN", "Call", "Json", "Telegram"]


class Telegram(BotApi, BaseSession):
    """The Bot API without HTTP."""

    def __init__(self) -> None:
        BaseSession.__init__(self)
        BotApi.__init__(self)

    async def make_request(
        self,
        bot: Bot,
        method: TelegramMethod[TelegramType],
        timeout: int | None = None,  # noqa: ARG002, ASYNC109  the signature is aiogram's
    ) -> TelegramType:
        """Answer a method of the Bot API."""
        attached: dict[str, InputFile] = {}
        values = method.model_dump(warnings=False).items()
        prepared = {name: self.prepare_value(value, bot, attached) for name, value in values}
        fields = {name: value for name, value in prepared.items() if value}
        uploads = {name: await _content(file, bot) for name, file in attached.items()}
        status, body = self.call(method.__api_method__, fields, uploads)
        response = self.check_response(bot, method, status, json.dumps(body))
        return cast("TelegramType", response.result)

    async def stream_content(
        self,
        url: str,
        headers: dict[str, Any] | None = None,
        timeout: int = 30,  # noqa: ASYNC109  the signature is aiogram's
        chunk_size: int = 65536,
        raise_for_status: bool = True,  # noqa: FBT001, FBT002
    ) -> AsyncGenerator[bytes, None]:
        """Give the content of a file."""
        del headers, timeout, chunk_size, raise_for_status
        stored = self.files.by_path(url.partition(f"/bot{TOKEN}/")[2])
        if stored is None:
            raise FileNotFoundError(url)
        yield stored.data

    async def close(self) -> None:
        """Do nothing: there is no connection."""


async def _content(file: InputFile, bot: Bot) -> bytes:
    return b"".join([chunk async for chunk in file.read(bot)])
