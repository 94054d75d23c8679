"""Fixtures: entities stored in a fresh SQLite database in memory, and a session to read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session, class_mapper
from sqlalchemy.pool import StaticPool

Store = Callable[..., Session]


@pytest.fixture
def store() -> Iterator[Store]:
    """Store entities in a database of their own, and give a new session on it."""
    with ExitStack() as stack:

        def put(first: object, *others: object) -> Session:
            engine = create_engine("sqlite://", poolclass=StaticPool)
            stack.callback(engine.dispose)
            class_mapper(type(first)).local_table.metadata.create_all(engine)
            with Session(engine) as writer, writer.begin():
                writer.add_all([first, *others])
            return stack.enter_context(Session(engine))

        yield put
