"""Services whose annotations exist only for the type checker, as linters like to have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decimal import Decimal

    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import Session


class Users:
    def __init__(self, session: Session) -> None:
        self.session = session


class AsyncUsers:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session


class Avatars:
    def __init__(self, db: Session, users: Users) -> None:
        self.session = db
        self.users = users


class Prices:
    def __init__(self, session: Session, rate: Decimal) -> None:
        self.rate = rate
