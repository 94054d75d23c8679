"""Snapshots and views as response models: nothing is loaded while the response is written."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass

import pytest
from fastapi import FastAPI
from fastapi.exceptions import ResponseValidationError
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.ext.asyncio import async_sessionmaker

from sqla_safe import afetch, asnapshot, configure, explain
from sqla_safe.ext.fastapi import Services
from sqla_safe.ext.pytest import assert_statements
from tests.integration.fastapi.support import Notes, client, sent
from tests.integration.scopes.models import Author, Note

EAGER = ".options(selectinload(Author.notes)) where it is loaded"


class NoteOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    text: str


class AuthorOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    name: str
    notes: list[NoteOut] = []


@dataclass(frozen=True, slots=True)
class NoteView:
    id: int
    text: str


@dataclass(frozen=True, slots=True)
class AuthorView:
    name: str
    notes: tuple[NoteView, ...]


async def filled(sessions) -> None:
    """Store an author with two notes."""
    async with sessions.begin() as session:
        session.add(Author(name="Anna", notes=[Note(text="a"), Note(text="b")]))


async def test_a_snapshot_is_a_response_model(app: FastAPI, sessions) -> None:
    """What it holds is written, relationships included; only the endpoint runs statements."""
    await filled(sessions)

    @app.get("/", response_model=AuthorOut)
    async def endpoint(notes: Services[Notes]) -> Author:
        author = await notes.session.scalar(select(Author))
        assert author is not None
        return await asnapshot(author, Author.notes)

    async with client(app) as browser:
        with assert_statements(2):
            answer = await browser.get("/")
    assert answer.json() == {
        "name": "Anna",
        "notes": [{"id": 1, "text": "a"}, {"id": 2, "text": "b"}],
    }


async def test_what_a_snapshot_does_not_hold_is_no_default(app: FastAPI, sessions) -> None:
    """The answer is an error, and not a list that looks empty."""
    await filled(sessions)

    @app.get("/", response_model=AuthorOut)
    async def endpoint(notes: Services[Notes]) -> Author:
        author = await notes.session.scalar(select(Author))
        assert author is not None
        return await asnapshot(author)

    async with client(app) as browser:
        assert (await browser.get("/")).status_code == 500


async def test_many_snapshots_are_a_list(app: FastAPI, sessions) -> None:
    """A tuple of snapshots fits ``list[Model]``."""
    await filled(sessions)

    @app.get("/", response_model=list[NoteOut])
    async def endpoint(notes: Services[Notes]) -> tuple[Note, ...]:
        return await asnapshot(await notes.session.scalars(select(Note).order_by(Note.id)))

    async with client(app) as browser:
        assert [note["text"] for note in (await browser.get("/")).json()] == ["a", "b"]


async def test_a_view_is_a_response_model(app: FastAPI, sessions) -> None:
    """Frozen dataclasses that a view has filled need no further model, and no further statement."""
    await filled(sessions)

    @app.get("/")
    async def endpoint(notes: Services[Notes]) -> list[AuthorView]:
        return await afetch(notes.session, AuthorView, select(Author))

    async with client(app) as browser:
        with assert_statements(2):
            answer = await browser.get("/")
    notes = [{"id": 1, "text": "a"}, {"id": 2, "text": "b"}]
    assert answer.json() == [{"name": "Anna", "notes": notes}]


async def error_of(app: FastAPI, path: str) -> Exception:
    """Return what a server that logs it is given."""
    with pytest.raises(ResponseValidationError) as caught:
        await sent(app, path, lambda _message: None)
    return caught.value


async def test_an_entity_that_cannot_be_written_is_explained(app, sessions) -> None:
    """FastAPI's error holds only a text of the first one; a note beneath it names the repair."""
    await filled(sessions)
    configure(sessions, guard="raise")

    @app.get("/", response_model=AuthorOut)
    async def endpoint(notes: Services[Notes]) -> Author | None:
        return await notes.session.scalar(select(Author))

    error = await error_of(app, "/")
    assert "SQS102 Author.notes was read in async code" in error.__notes__[0]
    assert EAGER in error.__notes__[0]
    assert "SQS102" not in str(error)
    assert re.search(r"loaded: .*test_responses.py:\d+ in endpoint", error.__notes__[0])


async def test_an_earlier_request_explains_nothing(app, sessions) -> None:
    """Without a guard the note holds what the entity tells, and no lines of a guarded one."""
    await filled(sessions)
    guarded = async_sessionmaker(sessions.kw["bind"])
    configure(guarded, guard="raise")

    @app.get("/{kind}", response_model=AuthorOut)
    async def endpoint(kind: str, notes: Services[Notes]) -> Author:
        async with (sessions if kind == "plain" else guarded)() as session:
            author = await session.scalar(select(Author))
            assert author is not None
        return author

    with suppress(ResponseValidationError):
        await sent(app, "/guarded", lambda _message: None)
    error = await error_of(app, "/plain")
    [note] = error.__notes__
    assert note.splitlines() == [
        "SQS101 Author.notes was read after its scope had ended",
        f"  instead: await asnapshot(author, Author.notes) inside the scope, or {EAGER}",
    ]


async def test_a_detached_entity_in_a_list_is_explained(app, sessions) -> None:
    """Its session has ended, and the application's scope had nothing to do with it."""
    await filled(sessions)

    @app.get("/", response_model=list[AuthorOut])
    async def endpoint() -> list[Author]:
        async with sessions() as session:
            return list(await session.scalars(select(Author)))

    explanation = explain(await error_of(app, "/"))
    assert explanation is not None
    assert explanation.title == "Author.notes was read after its scope had ended"
    assert explanation.instead.startswith("await asnapshot(author, Author.notes) inside the scope")


async def test_a_response_that_is_wrong_by_itself_is_not_explained(app) -> None:
    """Values of the wrong type, a snapshot, a model as a whole: nothing of a session."""

    @app.get("/", response_model=AuthorOut)
    async def endpoint(notes: Services[Notes]) -> dict[str, object]:
        return {"name": notes, "notes": ["DetachedInstanceError"]}

    error = await error_of(app, "/")
    assert explain(error) is None
    assert not hasattr(error, "__notes__")
