"""The keyboard of a top-up notification."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from avatar_bot.keyboards.buttons import column
from avatar_bot.keyboards.main import CREATE_AVATAR

if TYPE_CHECKING:
    from aiogram.types import InlineKeyboardMarkup

    from avatar_bot.locales import Texts

BALANCE_DETAILS = "balance_details_"

# Buttons sent before balances were whole numbers read balance_details_100.0_350.0.
_PATTERN = re.compile(BALANCE_DETAILS + r"([0-9]{1,12})(?:\.0)?_([0-9]{1,12})(?:\.0)?")


class BalanceDetails(NamedTuple):
    """What the button of a notification remembers: the top-up, and the balance after it."""

    added: int
    balance: int

    def pack(self) -> str:
        """Return the callback data, e.g. `balance_details_100_350`."""
        return f"{BALANCE_DETAILS}{self.added}_{self.balance}"

    @classmethod
    def unpack(cls, data: str) -> BalanceDetails | None:
        """Return what `data` holds; None when it is not what `pack` makes."""
        match = _PATTERN.fullmatch(data)
        return cls(int(match[1]), int(match[2])) if match else None


def top_up_notice(texts: Texts, details: BalanceDetails) -> InlineKeyboardMarkup:
    """Return the buttons under a top-up notification."""
    return column((texts.BALANCE_DETAILS, details.pack()), (texts.CREATE_AVATAR, CREATE_AVATAR))
