"""The tables of the bot."""

from avatar_bot.models.album import AlbumPart
from avatar_bot.models.avatar import Avatar, AvatarGender, AvatarPhoto, AvatarStatus, AvatarType
from avatar_bot.models.base import Base
from avatar_bot.models.training import Training, TrainingStatus
from avatar_bot.models.user import BalanceTransaction, TransactionKind, User, UserBalance

__all__ = [
    "AlbumPart",
    "Avatar",
    "AvatarGender",
    "AvatarPhoto",
    "AvatarStatus",
    "AvatarType",
    "BalanceTransaction",
    "Base",
    "Training",
    "TrainingStatus",
    "TransactionKind",
    "User",
    "UserBalance",
]
