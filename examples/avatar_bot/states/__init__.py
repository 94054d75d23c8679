"""Where a conversation can stand."""

from __future__ import annotations

from aiogram.fsm.state import State, StatesGroup


class CreateAvatar(StatesGroup):
    """The questions about a new avatar."""

    name = State()
    gender = State()
    type = State()


class PhotoUpload(StatesGroup):
    """Photos are expected; the data holds `avatar_id`."""

    waiting = State()


class Rename(StatesGroup):
    """A new name is expected; the data holds `avatar_id` and `page`."""

    name = State()
