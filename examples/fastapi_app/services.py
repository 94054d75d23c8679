"""What can be done with wallets. The services know the session, and nothing of FastAPI."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from fastapi_app.models import Payment, Refusal, Wallet


class UnknownWalletError(LookupError):
    """There is no wallet with this number."""


class WalletService:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def open(self, owner: str) -> Wallet:
        self.session.add(wallet := Wallet(owner=owner, balance=Decimal(0)))
        await self.session.flush()
        return wallet

    async def get(self, wallet_id: int) -> Wallet:
        wallet = await self.session.get(Wallet, wallet_id)
        if wallet is None:
            raise UnknownWalletError(wallet_id)
        return wallet


class PaymentService:
    def __init__(self, session: AsyncSession, wallets: WalletService) -> None:
        self.session, self.wallets = session, wallets

    async def pay(self, wallet_id: int, amount: Decimal, note: str) -> None:
        """Pay into a wallet, or out of it; the database refuses to overdraw it."""
        wallet = await self.wallets.get(wallet_id)
        wallet.balance += amount
        self.session.add(Payment(wallet_id=wallet.id, amount=amount, note=note))
        await self.session.flush()

    async def transfer(self, source: int, target: int, amount: Decimal) -> None:
        await self.pay(target, amount, f"from {source}")
        await self.pay(source, -amount, f"to {target}")

    async def all(self) -> AsyncIterator[Payment]:
        """Give all payments one by one, from an open connection."""
        async for payment in await self.session.stream_scalars(
            select(Payment).order_by(Payment.id)
        ):
            yield payment


class RefusalService:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def note(self, path: str, reason: str) -> None:
        self.session.add(Refusal(path=path, reason=reason))
        await self.session.flush()
