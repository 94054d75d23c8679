"""The chat page in a real browser. Set AVATAR_BOT_SCREENSHOTS to a folder to keep what it shows."""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy.ext.asyncio import AsyncEngine

from avatar_bot.engine import create_engine, create_tables
from avatar_bot.locales import en, ru
from avatar_bot.pictures import paint_placeholder
from avatar_bot.services.training import PRICE
from avatar_bot.services.user import WELCOME_COINS
from tests.integration.avatar_bot.world import World, world

playwright = pytest.importorskip(
    "playwright.async_api", reason="playwright, which drives the browser, is not installed"
)
NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
    pytest.mark.timeout(180),
]
ANNA, BORIS = 1001, 1002
PATIENCE = 20_000
WIDE = {"width": 900, "height": 820}
PHONE = {"width": 375, "height": 740}
CALM = {"locale": "ru-RU", "reduced_motion": "reduce"}


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """Give the bot's engine on SQLite: the page does not depend on the database."""
    engine = create_engine(f"sqlite+aiosqlite:///{tmp_path / 'page.db'}")
    await create_tables(engine)
    yield engine
    await engine.dispose()


@pytest.fixture
async def browser() -> AsyncIterator[Any]:
    """Start Chromium without a window."""
    async with playwright.async_playwright() as driver:
        options = ["--no-sandbox", "--disable-gpu"]
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        await browser.close()


class Page:
    """The chat page, with the names that the tests use."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda m: self.problems.append(m.text) if m.type == "error" else None)
        page.on("request", self._look)
        page.set_default_timeout(PATIENCE)

    def _look(self, request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:")):
            self.problems.append(f"asked for {request.url}")

    def chat(self, number: int) -> Any:
        """Return the section of one person."""
        return self.page.locator(f".chat[data-chat='{number}']")

    async def write(self, number: int, text: str) -> None:
        """Type into the field and press Enter."""
        field = self.chat(number).locator("input[type=text]")
        await field.fill(text)
        await field.press("Enter")

    async def press(self, number: int, button: str) -> None:
        """Click the newest inline button with this text."""
        keys = self.chat(number).locator(".keys").get_by_role("button", name=button, exact=True)
        await keys.last.click()

    async def sees(self, number: int, text: str) -> None:
        """Wait for a text in the newest message."""
        message = self.chat(number).locator(".message:not(.mine)").last
        await playwright.expect(message).to_contain_text(text, timeout=PATIENCE)

    async def alert(self, text: str) -> None:
        """Wait for an alert and close it with the keyboard."""
        dialog = self.page.locator("dialog[open]")
        await playwright.expect(dialog).to_contain_text(text, timeout=PATIENCE)
        await self.page.keyboard.press("Escape")
        await playwright.expect(dialog).to_have_count(0)

    async def keep(self, name: str) -> None:
        """Keep a small picture of the page, if somebody wants it."""
        if folder := os.environ.get("AVATAR_BOT_SCREENSHOTS"):
            shot = Image.open(BytesIO(await self.page.screenshot())).convert("RGB")
            small = shot.quantize(palette=shot.quantize(), dither=Image.Dither.FLOYDSTEINBERG)
            small.save(Path(folder) / f"avatar_bot_{name}.png", optimize=True)

    async def keep_both(self, name: str) -> None:
        """Keep a picture of the Russian page, and one of the English page."""
        await self.keep(f"{name}_ru")
        await self.page.locator("#language").click()
        await self.keep(name)
        await self.page.locator("#language").click()


@pytest.fixture
async def live(engine: AsyncEngine) -> AsyncIterator[World]:
    """Give a bot that polls."""
    async with world(engine, step_seconds=0.3) as live:
        yield live


@pytest.fixture
async def page(browser: Any, live: World) -> AsyncIterator[Page]:
    """Open the page; at the end nothing may have gone wrong in it."""
    context = await browser.new_context(viewport=WIDE, **CALM)
    page = Page(await context.new_page())
    await page.page.goto(live.address)
    yield page
    assert page.problems == []
    await context.close()


def files(*names: str) -> list[dict[str, Any]]:
    """Return photos as the file dialog would."""
    return [
        {"name": f"{n}.jpg", "mimeType": "image/jpeg", "buffer": paint_placeholder(name, n)}
        for n, name in enumerate(names)
    ]


EXPLAINED = {
    "read": "avatar_bot/handlers/avatar/main_unsafe.py:",
    "loaded": "avatar_bot/services/user.py:",
    "scope": "opened ",
    "instead": "await asnapshot(user, User.balance) inside the scope",
}
PHOTOS = files("One", "Two", "Three", "Four")


async def create(page: Page, number: int, name: str) -> None:
    """Go from /start to the photo screen."""
    texts = ru if number == ANNA else en
    await page.write(number, "/start")
    await page.sees(number, texts.coins(WELCOME_COINS))
    await page.press(number, texts.CREATE_AVATAR)
    await page.sees(number, texts.avatar_menu(WELCOME_COINS, 0, PRICE))
    await page.press(number, texts.NEW_AVATAR)
    await page.sees(number, texts.ask_name(WELCOME_COINS, PRICE))
    await page.write(number, name)
    await page.press(number, texts.FEMALE)
    await page.press(number, texts.PORTRAIT)
    await page.sees(number, texts.ask_photos(name, 0, 3, 10))


async def test_an_avatar_from_start_to_gallery(page: Page) -> None:
    """Start, create, send photos as an album, train with a moving bar, gallery, balance details."""
    await create(page, ANNA, "Летняя")
    await page.chat(ANNA).locator("input[type=file]").set_input_files(PHOTOS)
    await playwright.expect(page.chat(ANNA).locator(".album.mine img")).to_have_count(4)
    await page.sees(ANNA, ru.ask_photos("Летняя", 4, 3, 10))
    await page.keep("photos")
    await page.press(ANNA, ru.PHOTOS_DONE)
    await page.press(ANNA, ru.START_TRAINING)
    await page.sees(ANNA, "0%")
    await page.sees(ANNA, ru.training_done("Летняя"))
    await page.press(ANNA, ru.GALLERY)
    await page.sees(ANNA, "1 из 1")
    await page.keep("gallery")
    await page.chat(ANNA).get_by_role("button", name="+100").click()
    await page.sees(ANNA, ru.topped_up(100, WELCOME_COINS - PRICE + 100))
    await page.press(ANNA, ru.BALANCE_DETAILS)
    await playwright.expect(page.page.locator("dialog[open]")).to_be_visible()
    await page.keep("balance_details")
    await page.alert(ru.balance_details(100, 200, 200))
    assert await page.page.locator("[aria-busy=true]").count() == 0


async def test_two_people_at_once(page: Page) -> None:
    """Side by side, each in his own language, and neither sees the other's messages."""
    names = {ANNA: "Летняя", BORIS: "Winter"}
    for number, name in names.items():
        await create(page, number, name)
        await page.chat(number).locator("input[type=file]").set_input_files(PHOTOS[:3])
    for number, name in names.items():
        texts = ru if number == ANNA else en
        await page.sees(number, texts.ask_photos(name, 3, 3, 10))
        await page.press(number, texts.PHOTOS_DONE)
        await page.press(number, texts.START_TRAINING)
    await page.sees(ANNA, ru.training_done("Летняя"))
    await page.sees(BORIS, en.training_done("Winter"))
    await page.keep_both("two_people")
    assert "Winter" not in await page.chat(ANNA).inner_text()
    assert "Летняя" not in await page.chat(BORIS).inner_text()


async def test_photos_can_be_dropped(page: Page) -> None:
    """Dragging pictures onto a chat sends them; another kind of file is refused there."""
    await create(page, ANNA, "Летняя")
    drop = """([node, kind, content]) => {
        const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt(0));
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([bytes], "a", { type: kind }));
        for (const type of ["dragenter", "dragover", "drop"])
            node.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true }));
    }"""
    node = await page.chat(ANNA).element_handle()
    content = base64.b64encode(paint_placeholder("А", 1)).decode()
    await page.page.evaluate(drop, [node, "image/jpeg", content])
    await page.sees(ANNA, ru.ask_photos("Летняя", 1, 3, 10))
    await page.page.evaluate(drop, [node, "text/plain", content])
    await playwright.expect(page.chat(ANNA).locator(".toast")).to_contain_text("только фото")


async def test_help_unknown_input_and_block(page: Page) -> None:
    """Alerts, hints and a blocked bot look as they should."""
    await page.chat(ANNA).get_by_role("button", name="/start").click()
    await page.sees(ANNA, ru.coins(WELCOME_COINS))
    await page.press(ANNA, ru.HELP_BUTTON)
    await page.alert(ru.HELP)
    await page.write(ANNA, "привет")
    await page.sees(ANNA, ru.UNKNOWN_INPUT)
    await page.chat(ANNA).get_by_role("button", name="Заблокировать").click()
    await page.write(ANNA, "/start")
    await page.page.wait_for_timeout(300)
    await page.sees(ANNA, ru.UNKNOWN_INPUT)


async def test_it_can_be_used_by_keyboard_alone(page: Page) -> None:
    """Every button is reached with Tab and pressed with Enter or the space bar."""
    await page.write(ANNA, "/start")
    await page.sees(ANNA, ru.coins(WELCOME_COINS))
    await page.page.locator("#theme").focus()
    for _ in range(30):
        await page.page.keyboard.press("Tab")
        focused = await page.page.evaluate("document.activeElement.textContent")
        if focused == ru.CREATE_AVATAR:
            break
    await page.page.keyboard.press("Enter")
    await page.sees(ANNA, ru.avatar_menu(WELCOME_COINS, 0, PRICE))


async def test_a_reload_shows_the_same_conversation(page: Page) -> None:
    """The page keeps nothing by itself: what was said is asked for again."""
    await create(page, ANNA, "Летняя")
    before = await page.chat(ANNA).locator(".log").inner_text()
    await page.page.reload()
    await page.sees(ANNA, ru.ask_photos("Летняя", 0, 3, 10))
    assert await page.chat(ANNA).locator(".log").inner_text() == before


async def test_the_page_has_two_languages(page: Page) -> None:
    """The page's own words change with the button, and stay so; a phone keeps its person's."""
    await playwright.expect(page.page.locator("h1")).to_contain_text("Аватар-бот")
    await page.page.locator("#language").click()
    await page.page.reload()
    await playwright.expect(page.page.locator("h1")).to_contain_text("Avatar bot")
    await page.page.locator(".limits summary").click()
    limits = page.page.locator("#limits")
    await playwright.expect(limits).to_contain_text("This is not Telegram")
    await page.page.keyboard.press("Escape")
    await playwright.expect(limits).to_be_hidden()
    empty = page.page.locator(".empty")
    await playwright.expect(empty.nth(0)).to_contain_text("Запустить бота")
    await empty.nth(1).get_by_role("button", name="Start the bot").click()
    await page.sees(BORIS, en.coins(WELCOME_COINS))


async def test_an_alert_stops_one_phone_only(page: Page) -> None:
    """The other person goes on meanwhile; the focus returns to the pressed button."""
    for number in (ANNA, BORIS):
        await page.write(number, "/start")
        await page.sees(number, (ru if number == ANNA else en).coins(WELCOME_COINS))
    await page.press(ANNA, ru.HELP_BUTTON)
    await playwright.expect(page.page.locator("dialog[open]")).to_contain_text("Аватар — это")
    await page.press(BORIS, en.CREATE_AVATAR)
    await page.sees(BORIS, en.avatar_menu(WELCOME_COINS, 0, PRICE))
    await page.chat(ANNA).get_by_role("button", name="OK").click()
    await playwright.expect(page.page.locator("dialog[open]")).to_have_count(0)
    focused = await page.page.evaluate("document.activeElement.textContent")
    assert focused == ru.HELP_BUTTON


async def test_more_people_can_be_let_in(page: Page) -> None:
    """The button adds a chat, ready to be written in."""
    await page.page.locator("#add-en").click()
    await page.write(1003, "/start")
    await page.sees(1003, en.coins(WELCOME_COINS))


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_phone_and_dark_mode(browser: Any, live: World, scheme: str) -> None:
    """On a phone one chat fills the width; the dark theme follows the system and the button."""
    context = await browser.new_context(viewport=PHONE, color_scheme=scheme, has_touch=True, **CALM)
    page = Page(await context.new_page())
    await page.page.goto(live.address)
    await create(page, ANNA, "Летняя")
    if scheme == "dark":
        await page.keep("phone")
    theme = "document.documentElement.dataset.theme"
    assert await page.page.evaluate(theme) == scheme
    box = await page.chat(ANNA).bounding_box()
    assert 320 <= box["width"] <= 375
    assert await page.page.evaluate("document.body.scrollWidth <= innerWidth")
    await page.page.locator("#theme").click()
    assert await page.page.evaluate(theme) != scheme
    assert page.problems == []
    await context.close()


async def test_the_bug_and_its_explanation_are_shown(browser: Any, engine: AsyncEngine) -> None:
    """The user sees an apology; the log below has the error and the guard's explanation of it."""
    async with world(engine, unsafe=True) as live:
        context = await browser.new_context(viewport=WIDE, **CALM)
        page = Page(await context.new_page())
        await page.page.goto(live.address)
        await playwright.expect(page.page.locator("#unsafe")).to_be_visible()
        await page.write(ANNA, "/start")
        await page.sees(ANNA, ru.coins(WELCOME_COINS))
        await page.press(ANNA, ru.CREATE_AVATAR)
        await page.alert(ru.FAILED)
        shown = page.chat(ANNA).locator(".failed")
        await playwright.expect(shown).to_contain_text("SQS101 User.balance was read after")
        report = page.page.locator("#journal .report")
        await playwright.expect(report.locator("p")).to_contain_text("DetachedInstanceError")
        for part, text in EXPLAINED.items():
            await playwright.expect(report.locator(f"dd.{part}")).to_contain_text(text)
        await page.keep_both("bug")
        await page.page.get_by_role("button", name="Скрыть").click()
        await playwright.expect(report).to_be_hidden()
        await page.page.reload()
        await playwright.expect(report.locator("h3")).to_contain_text("SQS101")
        assert page.problems == []
        await context.close()
