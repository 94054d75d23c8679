"""The application: `uvicorn fastapi_app.app:create_app --factory`."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from fastapi import BackgroundTasks, FastAPI, Request, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from fastapi_app.models import Base, Wallet
from fastapi_app.services import (
    PaymentService,
    RefusalService,
    UnknownWalletError,
    WalletService,
)
from sqla_safe import AsyncScope, asnapshot, configure, inject, prepare_sqlite, scoped_services
from sqla_safe.ext.fastapi import Services, StreamServices, setup_scopes

Scope = Services[AsyncScope[AsyncSession]]
mailed: list[str] = []
"""What went out; in a real application this is a mail server."""


class PaymentOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    amount: Decimal
    note: str


class WalletOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    owner: str
    balance: Decimal
    payments: list[PaymentOut] = []


class Opening(BaseModel):
    owner: str


class Transfer(BaseModel):
    source: int
    target: int
    amount: Decimal


def create_app(url: str | None = None) -> FastAPI:
    """Make the application on a database; without a URL on the one that DATABASE_URL names."""
    url = url or os.environ.get("DATABASE_URL", "sqlite+aiosqlite:///wallets.db")
    engine = create_async_engine(url)
    if engine.dialect.name == "sqlite":
        prepare_sqlite(engine)
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    configure(sessions, guard="report")

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        yield
        await engine.dispose()

    app = FastAPI(title="Wallets", lifespan=lifespan)
    app.state.sessions = sessions
    setup_scopes(app, sessions, inject(PaymentService))
    add_endpoints(app, sessions)
    add_error_handlers(app, sessions)
    return app


def add_endpoints(app: FastAPI, sessions: async_sessionmaker[AsyncSession]) -> None:
    @app.post("/wallets", status_code=201, response_model=WalletOut)
    async def open_wallet(
        opening: Opening, wallets: Services[WalletService], scope: Scope, tasks: BackgroundTasks
    ) -> Wallet:
        wallet = await asnapshot(await wallets.open(opening.owner), Wallet.payments)
        scope.on_commit(lambda: tasks.add_task(mailed.append, f"welcome {wallet.owner}"))
        return wallet

    @app.get("/wallets/{wallet_id}", response_model=WalletOut)
    async def show_wallet(wallet_id: int, wallets: Services[WalletService]) -> Wallet:
        return await asnapshot(await wallets.get(wallet_id), Wallet.payments)

    @app.post("/wallets/{wallet_id}/payments", status_code=204)
    async def pay(wallet_id: int, payment: PaymentOut, payments: Services[PaymentService]) -> None:
        await payments.pay(wallet_id, payment.amount, payment.note)

    @app.post("/transfers", status_code=204)
    async def transfer(wanted: Transfer, payments: Services[PaymentService]) -> None:
        await payments.transfer(wanted.source, wanted.target, wanted.amount)

    @app.get("/payments.csv")
    async def export(payments: StreamServices[PaymentService]) -> StreamingResponse:
        async def lines() -> AsyncIterator[str]:
            async for payment in payments.all():
                yield f"{payment.wallet_id},{payment.amount},{payment.note}\n"

        return StreamingResponse(lines(), media_type="text/csv")

    @app.websocket("/till/{wallet_id}")
    async def till(socket: WebSocket, wallet_id: int) -> None:
        await socket.accept()
        async for amount in socket.iter_text():
            async with scoped_services(sessions, inject(PaymentService)) as payments:
                await payments.pay(wallet_id, Decimal(amount), "till")
            await socket.send_text("paid")


def add_error_handlers(app: FastAPI, sessions: async_sessionmaker[AsyncSession]) -> None:
    @app.exception_handler(UnknownWalletError)
    async def unknown(_request: Request, _error: Exception) -> JSONResponse:
        return JSONResponse({"detail": "no such wallet"}, status_code=404)

    @app.exception_handler(IntegrityError)
    async def refused(request: Request, error: Any) -> JSONResponse:
        reason = "overdrawn" if "not_overdrawn" in str(error.orig) else "taken"
        async with scoped_services(sessions, RefusalService) as refusals:
            await refusals.note(request.url.path, reason)
        return JSONResponse({"detail": reason}, status_code=409)
