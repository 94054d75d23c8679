"""Snapshots and views as response models: nothing is loaded while the response is written."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from sqla_safe import afetch, asnapshot
from sqla_safe.ext.fastapi import Services
from sqla_safe.ext.pytest import assert_statements
from tests.integration.fastapi.support import Notes, client
from tests.integration.scopes.models import Author, Note


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
