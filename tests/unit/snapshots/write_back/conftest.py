"""Fixtures: a page with links, and a book, that are written back."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from sqla_safe import (
    snapshot,
)
from tests.unit.snapshots.models.computed import Point
from tests.unit.snapshots.models.versions import Book, Link, Page


@pytest.fixture
def session(store):
    """Give a session on a database with a page of two links."""
    links = [Link(id=1, url="a", point=Point(1, 2)), Link(id=2, url="b")]
    return store(Page(id=1, title="old", body="body", meta={"tags": ["x"]}, links=links))


@pytest.fixture
def page(session):
    """Give a snapshot of the page; its session has ended."""
    with Session(session.get_bind()) as reader:
        return snapshot(reader.get_one(Page, 1), Page.links)


@pytest.fixture
def library(store):
    """Give a session on a database with one book."""
    return store(Book(id=1, name="old", pages=10))


@pytest.fixture
def book(library):
    """Give its snapshot."""
    return snapshot(library.get_one(Book, 1))
