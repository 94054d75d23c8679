"""The simulator over HTTP, on loopback only: the Bot API for the bot, a chat page for people."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import defaultdict
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from avatar_bot.simulator.api import BotApi, failure
from avatar_bot.simulator.files import MAX_PHOTO_BYTES, Json, NotAPictureError
from avatar_bot.simulator.person import Person

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from aiohttp.web import Handler, Request, StreamResponse

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
LOCAL_NAMES = ("127.0.0.1", "localhost")
PAGE = Path(__file__).with_name("page.html")
LONGEST_POLL = 50
RETRY_SECONDS = 0.2
PEOPLE = (("Анна", "ru"), ("Boris", "en"))


class Simulator(BotApi):
    """The Bot API, people who use the bot, and whoever watches them."""

    def __init__(self) -> None:
        super().__init__()
        self.people: dict[int, Person] = {}
        self.pending: list[Json] = []
        self.watchers: set[asyncio.Queue[Json]] = set()
        self.top_up: Callable[[int, int], Awaitable[None]] | None = None
        self.unsafe = False
        self.reports: defaultdict[int, list[Json]] = defaultdict(list)
        self._news = asyncio.Event()
        for name, language in PEOPLE:
            self.add_person(name, language)

    def add_person(self, name: str, language: str = "ru") -> Person:
        """Let one more person use the bot."""
        number = 1001 + len(self.people)
        person = Person(self, number, name, f"user_{number}", language)
        self.people[number] = person
        return person

    def moment(self, number: int) -> int:
        """Return the time of this machine's clock."""
        del number
        return int(time.time())

    def report(self, chat_id: int, what: Json) -> None:
        """Show on the page what the bot's log says about an update of this person."""
        entry = {**what, "date": int(time.time())}
        self.reports[chat_id].append(entry)
        self.happened(chat_id, "error", entry)

    def happened(self, chat_id: int, kind: str, what: Json) -> None:
        """Tell every open page."""
        for queue in self.watchers:
            queue.put_nowait({"chat": chat_id, "kind": kind, "what": dict(what)})

    def deliver(self, *updates: Json) -> None:
        """Keep updates for the bot until it has confirmed them."""
        self.pending.extend(updates)
        self._news.set()

    async def wait_for_news(self, seconds: float) -> None:
        """Wait until there is an update, for some seconds at the most."""
        self._news.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()

    async def get_updates(self, fields: Mapping[str, str]) -> tuple[HTTPStatus, Json]:
        """Answer `getUpdates`: confirm what is older than the offset, wait for what is new."""
        if self.webhook["url"]:
            text = "Conflict: can't use getUpdates method while webhook is active"
            return failure(HTTPStatus.CONFLICT, text)
        offset = int(fields.get("offset", 0))
        self.pending = [update for update in self.pending if update["update_id"] >= offset]
        if not self.pending:
            await self.wait_for_news(min(int(fields.get("timeout", 0)), LONGEST_POLL))
        limit = int(fields.get("limit", 100))
        return HTTPStatus.OK, {"ok": True, "result": self.pending[:limit]}

    async def post_updates(self) -> None:
        """While there is a webhook, post each update to it until it is taken; never ends."""
        async with ClientSession(timeout=ClientTimeout(total=10)) as client:
            while True:
                if self.webhook["url"] and self.pending:
                    await self._post(client, self.pending[0])
                else:
                    await self.wait_for_news(RETRY_SECONDS)

    async def _post(self, client: ClientSession, update: Json) -> None:
        headers = {"X-Telegram-Bot-Api-Secret-Token": self.secret}
        try:
            async with client.post(self.webhook["url"], json=update, headers=headers) as answer:
                taken = answer.status == HTTPStatus.OK
        except (ClientError, TimeoutError, OSError):
            taken = False
        if taken:
            self.pending.remove(update)
        else:
            await asyncio.sleep(RETRY_SECONDS)


SIMULATOR = web.AppKey("simulator", Simulator)


def create_app(simulator: Simulator) -> web.Application:
    """Return the web application: what the bot calls, and what the page calls."""
    app = web.Application(client_max_size=12 * MAX_PHOTO_BYTES, middlewares=[only_from_here])
    app[SIMULATOR] = simulator
    app.router.add_route("*", "/bot{token}/{method}", bot_method)
    app.router.add_get("/file/bot{token}/{path:.+}", bot_file)
    app.router.add_get("/", page)
    app.router.add_get("/page/state", page_state)
    app.router.add_get("/page/events", page_events)
    app.router.add_get("/page/photo/{file_id}", page_photo)
    for name, action in ACTIONS.items():
        app.router.add_post(f"/page/{name}", action)
    return app


@web.middleware
async def only_from_here(request: Request, handler: Handler) -> StreamResponse:
    """Refuse other names of this machine, and pages of other sites that post here."""
    origin = request.headers.get("Origin")
    own = f"{request.scheme}://{request.host}"
    if request.url.host not in LOCAL_NAMES or (origin is not None and origin != own):
        raise web.HTTPForbidden
    return await handler(request)


async def bot_method(request: Request) -> web.Response:
    """Answer a method that the bot calls."""
    simulator, method = request.app[SIMULATOR], request.match_info["method"]
    fields, uploads = await _form(request)
    if method == "getUpdates":
        status, body = await simulator.get_updates(fields)
    else:
        status, body = simulator.call(method, fields, uploads)
    return web.json_response(body, status=status)


async def _form(request: Request) -> tuple[dict[str, str], dict[str, bytes]]:
    """Return the fields and the files of a request, in whichever way they were sent."""
    fields, uploads = dict(request.query), {}
    if request.content_type == "application/json":
        for name, value in (await request.json()).items():
            fields[name] = value if isinstance(value, str) else json.dumps(value)
        return fields, uploads
    for name, value in (await request.post()).items():
        if isinstance(value, str):
            fields[name] = value
        else:
            uploads[name] = value.file.read()
    return fields, uploads


async def bot_file(request: Request) -> web.Response:
    """Give the bot a file that it has asked for with `getFile`."""
    stored = request.app[SIMULATOR].files.by_path(request.match_info["path"])
    if stored is None:
        raise web.HTTPNotFound
    return web.Response(body=stored.data, content_type="image/jpeg")


async def page(_request: Request) -> web.Response:
    """Give the chat page."""
    inline = "style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src 'self' data:"
    policy = f"default-src 'self'; {inline}"
    headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store"}
    text = await asyncio.to_thread(PAGE.read_text, encoding="utf-8")
    return web.Response(text=text, content_type="text/html", headers=headers)


async def page_state(request: Request) -> web.Response:
    """Tell the page who is there and what was said."""
    simulator = request.app[SIMULATOR]
    people = [
        {
            "id": number,
            "name": person.name,
            "language": person.sender["language_code"],
            "blocked": number in simulator.blocked,
            "reports": simulator.reports[number],
            "messages": [m for m in simulator.messages.values() if m["chat"]["id"] == number],
        }
        for number, person in simulator.people.items()
    ]
    can_top_up = simulator.top_up is not None
    return web.json_response(
        {"people": people, "can_top_up": can_top_up, "unsafe": simulator.unsafe}
    )


async def page_events(request: Request) -> StreamResponse:
    """Tell the page what happens, as it happens."""
    response = web.StreamResponse(headers={"Cache-Control": "no-store"})
    response.content_type = "text/event-stream"
    await response.prepare(request)
    queue: asyncio.Queue[Json] = asyncio.Queue()
    watchers = request.app[SIMULATOR].watchers
    watchers.add(queue)
    try:
        await response.write(b": hello\n\n")
        while True:
            event = await queue.get()
            await response.write(f"data: {json.dumps(event)}\n\n".encode())
    except ConnectionResetError:
        return response
    finally:
        watchers.discard(queue)


async def page_photo(request: Request) -> web.Response:
    """Give the page a photo of a message."""
    stored = request.app[SIMULATOR].files.by_id(request.match_info["file_id"])
    if stored is None:
        raise web.HTTPNotFound
    return web.Response(body=stored.data, content_type="image/jpeg")


async def page_write(request: Request) -> web.Response:
    """Let a person write."""
    form = await request.json()
    text = str(form["text"]).strip()[:4096]
    if text:
        request.app[SIMULATOR].deliver(_person(request, form).write(text))
    return web.json_response({})


async def page_press(request: Request) -> web.Response:
    """Let a person press a button; return the query, whose answer comes as an event."""
    simulator, form = request.app[SIMULATOR], await request.json()
    message = simulator.messages.get((int(form["chat"]), int(form["message"])))
    if message is None:
        raise web.HTTPNotFound
    update = _person(request, form).callback(message, str(form["data"]))
    simulator.deliver(update)
    return web.json_response({"query": update["callback_query"]["id"]})


async def page_photos(request: Request) -> web.Response:
    """Let a person send photos; several at once are an album."""
    form = await request.post()
    pictures = [part.file.read() for part in form.getall("photo", []) if not isinstance(part, str)]
    if not pictures:
        raise web.HTTPBadRequest
    try:
        updates = _person(request, form).send_photos(*pictures[:10])
    except NotAPictureError:
        raise web.HTTPUnsupportedMediaType from None
    request.app[SIMULATOR].deliver(*updates)
    return web.json_response({})


async def page_block(request: Request) -> web.Response:
    """Let a person block the bot, or allow it again."""
    simulator, form = request.app[SIMULATOR], await request.json()
    number = _person(request, form).chat["id"]
    (simulator.blocked.add if form["blocked"] else simulator.blocked.discard)(number)
    return web.json_response({})


async def page_people(request: Request) -> web.Response:
    """Let one more person in."""
    form = await request.json()
    name = str(form.get("name") or "Гость").strip()[:32]
    language = "en" if form.get("language") == "en" else "ru"
    person = request.app[SIMULATOR].add_person(name, language)
    return web.json_response({"id": person.chat["id"]})


async def page_top_up(request: Request) -> web.Response:
    """Let a payment of a person arrive at the bot."""
    simulator, form = request.app[SIMULATOR], await request.json()
    number = _person(request, form).chat["id"]
    if simulator.top_up is None:
        raise web.HTTPNotFound
    try:
        await simulator.top_up(number, 100)
    except LookupError:
        raise web.HTTPConflict from None
    return web.json_response({})


ACTIONS = {
    "write": page_write,
    "press": page_press,
    "photos": page_photos,
    "block": page_block,
    "people": page_people,
    "top_up": page_top_up,
}


def _person(request: Request, form: Mapping[str, object]) -> Person:
    person = request.app[SIMULATOR].people.get(int(str(form["chat"])))
    if person is None:
        raise web.HTTPNotFound
    return person


@asynccontextmanager
async def serving(simulator: Simulator, port: int = 0) -> AsyncIterator[str]:
    """Serve on loopback and give the address; port 0 takes one that is free."""
    runner = web.AppRunner(create_app(simulator), shutdown_timeout=0.2)
    await runner.setup()
    poster = asyncio.create_task(simulator.post_updates())
    try:
        site = web.TCPSite(runner, HOST, port)
        await site.start()
        yield f"http://{HOST}:{runner.addresses[0][1]}"
    finally:
        poster.cancel()
        await asyncio.gather(poster, return_exceptions=True)
        await runner.cleanup()
