"""The application's tests: one database for all, one rolled-back transaction for each.

Run them with `pytest examples/fastapi_app`; besides pytest they need pytest-asyncio and httpx2.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from sqlalchemy import func, select

from fastapi_app import app as application
from fastapi_app.app import create_app
from fastapi_app.models import Payment, Refusal
from sqla_safe.ext.pytest import AsyncRolledBack, assert_statements, rolled_back

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def app(tmp_path: Path) -> AsyncIterator[Any]:
    """Give the application on an empty database."""
    application.mailed.clear()
    app = create_app(f"sqlite+aiosqlite:///{tmp_path}/wallets.db")
    async with app.router.lifespan_context(app):
        yield app


@pytest_asyncio.fixture
async def database(app: Any) -> AsyncIterator[AsyncRolledBack]:
    """Undo whatever the test stores."""
    async with rolled_back(app.state.sessions) as test:
        yield test


@pytest_asyncio.fixture
async def browser(app: Any, database: AsyncRolledBack) -> AsyncIterator[httpx2.AsyncClient]:
    """Give a client of the application."""
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://wallets") as client:
        yield client


async def wallets(browser: httpx2.AsyncClient, *owners: str) -> list[int]:
    """Open wallets and return their numbers."""
    answers = [await browser.post("/wallets", json={"owner": owner}) for owner in owners]
    return [answer.json()["id"] for answer in answers]


async def test_a_wallet_can_be_opened_once(browser: httpx2.AsyncClient) -> None:
    """The second is refused; mail goes out for the first only."""
    answers = [await browser.post("/wallets", json={"owner": "Anna"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 409]
    assert answers[0].json()["owner"] == "Anna"
    assert application.mailed == ["welcome Anna"]


async def test_a_wallet_is_shown_with_its_payments(browser: httpx2.AsyncClient) -> None:
    """In two statements, however many payments there are."""
    [anna] = await wallets(browser, "Anna")
    for amount in ("5.00", "7.50"):
        await browser.post(f"/wallets/{anna}/payments", json={"amount": amount, "note": "cash"})
    with assert_statements(2):
        shown = (await browser.get(f"/wallets/{anna}")).json()
    assert shown["balance"] == "12.50"
    assert [payment["amount"] for payment in shown["payments"]] == ["5.00", "7.50"]


async def test_a_wallet_that_is_not_there_is_not_found(browser: httpx2.AsyncClient) -> None:
    """404, and no entity is touched after its scope."""
    assert (await browser.get("/wallets/7")).status_code == 404


async def test_a_transfer_happens_or_does_not(
    browser: httpx2.AsyncClient, database: AsyncRolledBack
) -> None:
    """A refused one leaves both wallets as they were, and its refusal is noted."""
    anna, bert = await wallets(browser, "Anna", "Bert")
    await browser.post(f"/wallets/{anna}/payments", json={"amount": "5", "note": "cash"})
    wanted = {"source": anna, "target": bert}
    codes = [
        (await browser.post("/transfers", json={**wanted, "amount": amount})).status_code
        for amount in ("3", "4")
    ]
    assert codes == [204, 409]
    balances = [(await browser.get(f"/wallets/{w}")).json()["balance"] for w in (anna, bert)]
    assert balances == ["2.00", "3.00"]
    assert await database.connection.scalar(select(func.count(Payment.id))) == 3
    assert list(await database.connection.scalars(select(Refusal.reason))) == ["overdrawn"]


async def test_all_payments_can_be_exported(browser: httpx2.AsyncClient) -> None:
    """As a stream."""
    [anna] = await wallets(browser, "Anna")
    for note in ("one", "two"):
        await browser.post(f"/wallets/{anna}/payments", json={"amount": "1", "note": note})
    assert (await browser.get("/payments.csv")).text == f"{anna},1.00,one\n{anna},1.00,two\n"
