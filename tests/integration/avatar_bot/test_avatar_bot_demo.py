"""The demo and the script of the bug report, run as their readers run them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest
from aiogram import Bot, Dispatcher
from aiogram.methods import GetUpdates, TelegramMethod
from aiogram.methods.base import TelegramType
from aiogram.types import Update

from avatar_bot import __main__ as command_line
from avatar_bot import polling
from avatar_bot.demo import stage, story
from avatar_bot.demo.telegram import TOKEN, Telegram
from avatar_bot.dispatcher import create_dispatcher
from avatar_bot.engine import Sessions, create_engine, create_sessionmaker
from avatar_bot.locales import ru
from avatar_bot.simulator.person import Person

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples"
REPORTED = "is not bound to a Session; lazy load operation of attribute 'balance' cannot proceed"


SCRIPT = ("-m", "avatar_bot", "demo", "--script")


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python without a token; every warning is an error there as well."""
    clean = {name: value for name, value in os.environ.items() if name != "BOT_TOKEN"}
    clean |= {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", **environment}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=clean,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )


Ran = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give what the demo takes for the folder of temporary files."""
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def demo(folder: Path) -> Ran:
    """Run the whole demo, with a DATABASE_URL that is none of its business."""
    url = f"sqlite+aiosqlite:///{folder / 'production.db'}"
    return run(*SCRIPT, cwd=EXAMPLES, TMPDIR=str(folder), DATABASE_URL=url)


@pytest.fixture(scope="module")
def bug() -> Ran:
    """Run `demo --bug` where the locale knows no Russian."""
    return run(*SCRIPT, "--bug", cwd=EXAMPLES, PYTHONIOENCODING="ascii")


def test_demo_shows_the_error_and_the_answer(demo: Ran) -> None:
    """The transcript holds the error of the old way, then the answers of the new one."""
    assert (demo.returncode, demo.stderr) == (0, "")
    old, new, details, own = demo.stdout.split("── ")[1:]
    assert "[ Создать аватар ]" in old
    assert "DetachedInstanceError: Parent instance <User at 0x" in old
    assert REPORTED in old
    assert "handlers/avatar/main_unsafe.py" in old
    assert "💎 Баланс: 250 кредитов" in new
    assert "📁 У вас 0 аватаров" in new
    assert "💎 Сейчас на балансе: 350 кредитов" in details
    assert "🎉 Аватар «Летняя Анна» готов!" in own
    assert "💎 Баланс: 200 кредитов" in own
    assert "✗" not in demo.stdout


def test_bug_shows_only_the_old_way(bug: Ran) -> None:
    """`demo --bug` ends after the error, and succeeds: the error is what it is to show."""
    assert (bug.returncode, bug.stderr) == (0, "")
    assert REPORTED in bug.stdout
    assert "scoped_services" not in bug.stdout


def test_bug_explains_the_error(bug: Ran) -> None:
    """Below the error of the report stand the lines that led to it, and what to write instead."""
    assert "SQS101 User.balance was read after its scope had ended" in bug.stdout
    assert "read:    avatar_bot/handlers/avatar/main_unsafe.py:" in bug.stdout
    assert "loaded:  avatar_bot/services/user.py:" in bug.stdout
    assert "scope:   opened avatar_bot/handlers/avatar/main_unsafe.py:" in bug.stdout
    assert "instead: await asnapshot(user, User.balance) inside the scope" in bug.stdout


def test_transcript_is_plain_and_utf8_when_piped(bug: Ran) -> None:
    """No escape sequences go into a pipe, and Russian texts do not depend on the locale."""
    assert "Добро пожаловать" in bug.stdout
    assert "\x1b" not in bug.stdout


def test_demo_leaves_nothing_behind(demo: Ran, folder: Path) -> None:
    """The demo's database is gone at the end, and DATABASE_URL is not touched."""
    assert demo.returncode == 0
    assert list(folder.iterdir()) == []


def test_demo_fails_when_the_bug_does_not_show(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1 and a cross when something happens otherwise than expected."""

    def always_safe(sessions: Sessions, *, unsafe: bool) -> Dispatcher:
        return create_dispatcher(sessions)

    monkeypatch.setattr(stage, "create_dispatcher", always_safe)
    assert story.run(bug_only=True) == 1
    assert "✗ the old handler raises the reported DetachedInstanceError" in capsys.readouterr().out


def test_demo_fails_when_the_answer_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1 and a cross when the new handler answers something else."""

    async def nobody(_telegram_id: int, _sessions: Sessions) -> None:
        return None

    monkeypatch.setattr("avatar_bot.handlers.avatar.main.load_avatar_menu", nobody)
    assert story.run() == 1
    assert "✗ the new handler answers with balance" in capsys.readouterr().out


def test_help_explains_both_ways_to_run(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` names the demo and the variables of the real bot."""
    with pytest.raises(SystemExit, match="0"):
        command_line.main(["--help"])
    text = capsys.readouterr().out
    assert all(word in text for word in ("demo", "BOT_TOKEN", "DATABASE_URL"))


def test_ctrl_c_while_it_starts_is_no_traceback() -> None:
    """Also before the page is there, while the bot's libraries are imported."""
    slow = (
        "import sys; from avatar_bot import __main__ as command_line\n"
        "def interrupted(*_, **__): raise KeyboardInterrupt\n"
        "command_line.run_demo = interrupted\n"
        "sys.exit(command_line.main(['demo']))\n"
    )
    demo = run("-c", slow, cwd=EXAMPLES)
    assert (demo.returncode, demo.stderr) == (130, "")


def test_without_a_token_the_demo_is_offered() -> None:
    """Starting the real bot without a token is a usage error that names the demo."""
    bot = run("-m", "avatar_bot", cwd=EXAMPLES)
    assert bot.returncode == 2
    assert "python -m avatar_bot demo" in bot.stderr


def test_malformed_token_is_not_repeated(tmp_path: Path) -> None:
    """A token that is none is a usage error which does not show it, before any file is made."""
    paths = f"{ROOT}{os.pathsep}{EXAMPLES}"
    bot = run("-m", "avatar_bot", cwd=tmp_path, PYTHONPATH=paths, BOT_TOKEN="hush")
    assert bot.returncode == 2
    assert "BOT_TOKEN is not what @BotFather gives" in bot.stderr
    assert "hush" not in bot.stderr + bot.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["", "sqlite+aiosqlite:///other.db"], ids=["default", "other"])
def test_database_url_names_the_database(tmp_path: Path, url: str) -> None:
    """The running bot uses DATABASE_URL, and the file `avatar.db` without it."""
    ask = "from avatar_bot.database import Session; print(Session.kw['bind'].url)"
    paths = f"{ROOT}{os.pathsep}{EXAMPLES}"
    bot = run("-c", ask, cwd=tmp_path, PYTHONPATH=paths, DATABASE_URL=url)
    assert bot.stdout.strip() == (url or "sqlite+aiosqlite:///avatar.db")


def test_report_script_prints_its_four_lines(tmp_path: Path) -> None:
    """The script of the report, run with plain Python from elsewhere, prints the report's lines."""
    script = run(str(EXAMPLES / "avatar_bot" / "test_detached_fix.py"), cwd=tmp_path, PYTHONPATH="")
    assert (script.returncode, script.stderr) == (0, "")
    assert script.stdout.splitlines() == [
        "✅ Пользователь найден: 174171680",
        "✅ Аватары получены: 0 шт.",
        "✅ Все тесты прошли успешно!",
        "🎉 Все исправления работают корректно!",
    ]


def test_report_script_fails_loudly(tmp_path: Path) -> None:
    """When a promise is not true, the script says which and exits with 1."""
    broken = tmp_path / "broken.py"
    broken.write_text(
        "import sys; from avatar_bot import test_detached_fix as script\n"
        "script.WELCOME_COINS = -1\n"
        "sys.exit(script.main())\n"
    )
    script = run(str(broken), cwd=tmp_path, PYTHONPATH=f"{ROOT}{os.pathsep}{EXAMPLES}")
    assert script.returncode == 1
    assert "❌ the balance is the stored one" in script.stderr
    assert "🎉" not in script.stdout


class PolledTelegram(Telegram):
    """A Telegram with one update to hand out; once the bot has answered, it is told to stop."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        super().__init__()
        self.dispatcher = dispatcher
        self.waiting = [Person(self, 7, "Анна", "anna_demo").write("/start")]
        self.stopping: asyncio.Task[None] | None = None

    async def make_request(
        self,
        bot: Bot,
        method: TelegramMethod[TelegramType],
        timeout: int | None = None,  # noqa: ASYNC109  the signature is aiogram's
    ) -> TelegramType:
        """Hand out the update, as the answer to getUpdates."""
        if not isinstance(method, GetUpdates):
            return await super().make_request(bot, method, timeout)
        await asyncio.sleep(0.01)
        if self.stopping is None and "sendMessage" in [call.method for call in self.calls]:
            self.stopping = asyncio.create_task(self.dispatcher.stop_polling())
        waiting, self.waiting = self.waiting, []
        updates = [Update.model_validate(raw, context={"bot": bot}) for raw in waiting]
        return cast("TelegramType", updates)


async def test_polling_answers_updates(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The real bot creates its tables, asks Telegram for updates and answers them."""
    engine = create_engine(url)
    sessions = create_sessionmaker(engine)
    telegram = PolledTelegram(create_dispatcher(sessions))
    monkeypatch.setattr(polling, "create_dispatcher", lambda _sessions, **_: telegram.dispatcher)
    await polling.poll(Bot(TOKEN, session=telegram), engine, sessions)
    assert telegram.calls[-1].text == ru.welcome("Анна", 250)
    assert TOKEN not in caplog.text
