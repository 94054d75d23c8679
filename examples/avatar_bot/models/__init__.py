"""The tables of the bot."""

from avatar_bot.models.avatar import Avatar, AvatarGender, AvatarPhoto, AvatarStatus, AvatarType
from avatar_bot.models.base import Base
from avatar_bot.models.user import BalanceTransaction, TransactionKind, User, UserBalance

__all__ = [
    "Avatar",
    "AvatarGender",
    "AvatarPhoto",
    "AvatarStatus",
    "AvatarType",
    "BalanceTransaction",
    "Base",
    "TransactionKind",
    "User",
    "UserBalance",
]
