"""What the bot says, one module per language, each with the same names."""

from __future__ import annotations

from types import ModuleType
from typing import TypeAlias

from avatar_bot.locales import en, ru

Texts: TypeAlias = ModuleType

RUSSIAN_READERS = ("ru", "uk", "be", "kk")


def texts_for(language_code: str | None) -> Texts:
    """Return the texts for a language as Telegram names it, such as `ru` or `en-GB`."""
    language = (language_code or "ru").partition("-")[0]
    return ru if language in RUSSIAN_READERS else en
