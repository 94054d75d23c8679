"""The example application works, by its own tests and with a WebSocket."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from fastapi_app.app import create_app
from fastapi_app.models import Wallet
from fastapi_app.services import WalletService
from sqla_safe import scoped_services

ROOT = Path(__file__).parents[3]


def test_its_own_tests_pass(tmp_path: Path) -> None:
    """Strictly, with nothing left open, in a process of their own."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", str(ROOT / "examples" / "fastapi_app"), "-q"),
            *("-p", "no:cacheprovider", "-W", "error", "-c", str(tmp_path / "pytest.ini")),
            *("--sqla-safe=strict", "--sqla-safe-leaks", "--import-mode=importlib"),
            "--override-ini=asyncio_default_fixture_loop_scope=function",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "examples")])},
    )
    assert "5 passed" in done.stdout, done.stdout + done.stderr


async def test_a_till_pays_message_by_message(tmp_path: Path) -> None:
    """Each payment is stored when its answer comes."""
    app = create_app(f"sqlite+aiosqlite:///{tmp_path}/wallets.db")
    coming: asyncio.Queue[Any] = asyncio.Queue()
    leaving: asyncio.Queue[Any] = asyncio.Queue()
    async with app.router.lifespan_context(app):
        async with scoped_services(app.state.sessions, WalletService) as wallets:
            wallet = await wallets.open("Anna")
        await coming.put({"type": "websocket.connect"})
        socket = {"type": "websocket", "path": f"/till/{wallet.id}", "headers": []}
        task = asyncio.create_task(
            app({**socket, "query_string": b""}, coming.get, leaving.put)  # type: ignore[arg-type]
        )
        await leaving.get()
        for amount in ("2", "3"):
            await coming.put({"type": "websocket.receive", "text": amount})
            assert (await leaving.get())["text"] == "paid"
        async with app.state.sessions() as session:
            assert (await session.get_one(Wallet, wallet.id)).balance == 5
        await coming.put({"type": "websocket.disconnect", "code": 1000})
        await task
