"""What the bot does with its data; every service works on the session it is given."""

from avatar_bot.services.album import AlbumService
from avatar_bot.services.avatar import AvatarService
from avatar_bot.services.training import TrainingService
from avatar_bot.services.user import UserService

__all__ = ["AlbumService", "AvatarService", "TrainingService", "UserService"]
