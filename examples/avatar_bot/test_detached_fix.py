"""The check of the bug report: find a user and list the avatars, through two services of one scope.

Run it from anywhere with `python test_detached_fix.py`; pytest collects it as well.
"""

from __future__ import annotations

import asyncio
import io
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

if __name__ == "__main__":  # a script has only its own folder on the path
    sys.path[:0] = [str(folder) for folder in Path(__file__).resolve().parents[1:3]]

from avatar_bot.engine import Sessions, create_engine, create_sessionmaker, create_tables
from avatar_bot.services import AvatarService, UserService
from avatar_bot.services.user import WELCOME_COINS
from sqla_safe import scoped_services

TELEGRAM_ID = 174171680


class CheckFailedError(AssertionError):
    """Something that the bug report promises is not true."""


def require(what: str, *, met: bool) -> None:
    """Raise unless `what` is true."""
    if not met:
        raise CheckFailedError(what)


async def register(sessions: Sessions) -> None:
    """Store the user of the report."""
    async with scoped_services(sessions, UserService) as users:
        await users.register_user(TELEGRAM_ID, "Сергей")


async def check(sessions: Sessions) -> None:
    """Print a line for every promise that holds; raise at the first one that does not."""
    async with scoped_services(sessions, UserService, AvatarService) as (users, avatars):
        require("both services share one session", met=users.session is avatars.session)
        user = await users.get_user_by_telegram_id(TELEGRAM_ID)
        if user is None:
            raise CheckFailedError("the user was not found")
        require("it is the right user", met=user.telegram_id == TELEGRAM_ID)
        print(f"✅ Пользователь найден: {user.telegram_id}")

        user_avatars = await avatars.get_user_avatars_with_photos(user.id)
        require("a new user has no avatars", met=len(user_avatars) == 0)
        print(f"✅ Аватары получены: {len(user_avatars)} шт.")

        balance = await users.get_user_balance(user.id)
        require("the balance is the stored one", met=balance == WELCOME_COINS)
        lazily = await users.session.run_sync(lambda _: user.balance.coins)
        require("the entity is still attached to its session", met=lazily == balance)
    print("✅ Все тесты прошли успешно!")
    print("🎉 Все исправления работают корректно!")


async def run(folder: Path) -> None:
    """Check on a fresh database."""
    engine = create_engine(f"sqlite+aiosqlite:///{folder / 'detached_fix.db'}")
    try:
        await create_tables(engine)
        sessions = create_sessionmaker(engine)
        await register(sessions)
        await check(sessions)
    finally:
        await engine.dispose()


def test_detached_fix(tmp_path: Path) -> None:
    """Two services of one scope find the user and list the avatars."""
    asyncio.run(run(tmp_path))


def main() -> int:
    """Run the check on a temporary database; return the exit code."""
    try:
        with TemporaryDirectory(prefix="detached_fix_") as folder:
            asyncio.run(run(Path(folder)))
    except CheckFailedError as error:
        print(f"❌ {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8")  # ✅ on every terminal
    sys.exit(main())
