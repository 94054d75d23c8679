"""Users and their balances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from avatar_bot.models import BalanceTransaction, TransactionKind, User, UserBalance
from avatar_bot.views import BalanceCard
from sqla_safe import afetch_one_or_none

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

WELCOME_COINS = 250


class NotEnoughCoinsError(Exception):
    """The user cannot pay, and has `balance`."""

    def __init__(self, balance: int) -> None:
        super().__init__(balance)
        self.balance = balance


class UserService:
    """Finds and registers users and keeps their coins."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def get_user_by_telegram_id(self, telegram_id: int) -> User | None:
        """Return the user with this Telegram id, if there is one."""
        statement = select(User).where(User.telegram_id == telegram_id)
        return await self.session.scalar(statement)

    async def get_user_balance(self, user_id: int) -> int:
        """Return the user's coins; 0 for a user without a balance."""
        statement = select(UserBalance.coins).where(UserBalance.user_id == user_id)
        return await self.session.scalar(statement) or 0

    async def get_balance_card(self, telegram_id: int) -> BalanceCard | None:
        """Return what the user with this Telegram id has, if there is one."""
        person = select(User).where(User.telegram_id == telegram_id)
        return await afetch_one_or_none(self.session, BalanceCard, person)

    async def register_user(
        self,
        telegram_id: int,
        first_name: str,
        username: str | None = None,
        language_code: str | None = None,
    ) -> User:
        """Return the user with this Telegram id, stored with the welcome coins if new."""
        known = await self.get_user_by_telegram_id(telegram_id)
        if known is not None:
            return known
        return await self._store(
            User(
                telegram_id=telegram_id,
                first_name=first_name,
                username=username,
                language_code=language_code or "ru",
            )
        )

    async def spend(self, user_id: int, price: int, training_id: int) -> int:
        """Charge the user for a training, and return the new balance.

        Raises:
            NotEnoughCoinsError: The balance is below the price. Nothing was changed.
        """
        statement = (
            update(UserBalance)
            .where(UserBalance.user_id == user_id, UserBalance.coins >= price)
            .values(coins=UserBalance.coins - price)
            .returning(UserBalance.coins)
        )
        coins = await self.session.scalar(statement)
        if coins is None:
            raise NotEnoughCoinsError(await self.get_user_balance(user_id))
        self._record(user_id, -price, TransactionKind.CHARGE, training_id)
        return coins

    async def add_coins(
        self, user_id: int, amount: int, kind: TransactionKind, training_id: int | None = None
    ) -> int:
        """Change the balance by `amount`, record why, and return the new balance.

        Raises:
            sqlalchemy.exc.IntegrityError: The balance would fall below zero.
            sqlalchemy.exc.NoResultFound: There is no such user.
        """
        statement = (
            update(UserBalance)
            .where(UserBalance.user_id == user_id)
            .values(coins=UserBalance.coins + amount)
            .returning(UserBalance.coins)
        )
        coins = (await self.session.scalars(statement)).one()
        self._record(user_id, amount, kind, training_id)
        return coins

    def _record(
        self, user_id: int, amount: int, kind: TransactionKind, training_id: int | None
    ) -> None:
        self.session.add(
            BalanceTransaction(user_id=user_id, amount=amount, kind=kind, training_id=training_id)
        )

    async def _store(self, user: User) -> User:
        """Insert a new user; of two at the same moment one wins and both get it."""
        welcome = BalanceTransaction(amount=WELCOME_COINS, kind=TransactionKind.WELCOME)
        user.balance = UserBalance(coins=WELCOME_COINS)
        user.transactions = [welcome]
        try:
            async with self.session.begin_nested():
                self.session.add(user)
        except IntegrityError:
            statement = select(User).where(User.telegram_id == user.telegram_id)
            return (await self.session.scalars(statement)).one()
        return user
