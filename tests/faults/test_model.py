"""Random programs of scopes, against a model of what must be stored.

A program is a tree: a block with a propagation, steps in it (write, callback, inner block, raise,
set rollback-only), and whether its caller swallows what leaves it. The model says which rows are
stored, which callbacks have run, and what leaves the whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session, sessionmaker

from sqla_safe import (
    CommitCallbackError,
    RollbackOnlyError,
    Scope,
    prepare_sqlite,
    scoped_services,
)
from tests import databases
from tests.faults.conftest import SEED, Figures, size

INSERT = text("INSERT INTO part (n) VALUES (:n)")


class StepError(Exception):
    """What a program raises."""


@dataclass(frozen=True)
class Step:
    """One thing that a block does."""

    kind: Literal["write", "callback", "failing callback", "raise", "doom"]


@dataclass(frozen=True)
class Block:
    """A scope: its steps, and whether the caller swallows its error."""

    propagation: Literal["required", "nested", "requires_new"]
    steps: tuple[Step | Block, ...]
    swallowed: bool


kinds = st.sampled_from(["write"] * 3 + ["callback", "failing callback", "raise", "doom"])


def programs(*propagations: str) -> st.SearchStrategy[Block]:
    """Return a strategy for whole programs whose inner blocks have these propagations."""
    blocks = st.recursive(
        st.builds(Step, kinds),
        lambda inner: st.builds(
            Block,
            st.sampled_from(propagations),
            st.lists(inner, max_size=4).map(tuple),
            st.booleans(),
        ),
        max_leaves=14,
    )
    bodies = st.lists(blocks, max_size=5).map(tuple)
    return bodies.map(lambda body: Block("required", body, swallowed=False))


@dataclass
class Frame:
    """What a block of the model has done that is not final yet."""

    rows: list[int] = field(default_factory=list)
    callbacks: list[int] = field(default_factory=list)


class Model:
    """Says what must come out of a program."""

    def __init__(self) -> None:
        self.numbers = count(1)
        self.stored: list[int] = []
        self.called: list[int] = []
        self.failing: set[int] = set()

    def run(self, program: Block) -> type[BaseException] | None:
        """Run a scope of its own to its end; return the kind of what leaves it."""
        frame, doomed = Frame(), [False]
        error = self._body(program, frame, doomed)
        if error is None and doomed[0]:
            error = RollbackOnlyError
        if error is not None:
            return error
        self.stored += frame.rows
        self.called += frame.callbacks
        return CommitCallbackError if self.failing & set(frame.callbacks) else None

    def _body(self, block: Block, frame: Frame, doomed: list[bool]) -> type[BaseException] | None:
        for step in block.steps:
            error = self._step(step, frame, doomed)
            if error is not None:
                return error
        return None

    def _step(
        self, step: Step | Block, frame: Frame, doomed: list[bool]
    ) -> type[BaseException] | None:
        if isinstance(step, Block):
            error = self._inner(step, frame, doomed)
            return None if step.swallowed else error
        if step.kind == "raise":
            return StepError
        if step.kind == "doom":
            doomed[0] = True
            return None
        number = next(self.numbers)
        if step.kind == "write":
            frame.rows.append(number)
        else:
            frame.callbacks.append(number)
            if step.kind == "failing callback":
                self.failing.add(number)
        return None

    def _inner(self, block: Block, frame: Frame, doomed: list[bool]) -> type[BaseException] | None:
        if block.propagation == "requires_new":
            return self.run(block)
        if block.propagation == "required":
            error = self._body(block, frame, doomed)
            doomed[0] = doomed[0] or error is not None
            return error
        own, own_doom = Frame(), [False]
        error = self._body(block, own, own_doom)
        if error is None and own_doom[0]:
            error = RollbackOnlyError
        if error is None:
            frame.rows += own.rows
            frame.callbacks += own.callbacks
        return error


class Program:
    """Runs a program for real."""

    def __init__(self, maker: sessionmaker[Session]) -> None:
        self.maker = maker
        self.numbers = count(1)
        self.called: list[int] = []

    def run(self, program: Block) -> type[BaseException] | None:
        """Run a whole program; return the kind of what leaves it."""
        try:
            self._block(program)
        except (StepError, RollbackOnlyError, CommitCallbackError) as error:
            return type(error)
        return None

    def _block(self, block: Block) -> None:
        with scoped_services(self.maker, propagation=block.propagation) as scope:
            for step in block.steps:
                self._step(scope, step)

    def _step(self, scope: Scope[Session], step: Step | Block) -> None:
        if isinstance(step, Block):
            try:
                self._block(step)
            except (StepError, RollbackOnlyError, CommitCallbackError):
                if not step.swallowed:
                    raise
        elif step.kind == "raise":
            raise StepError
        elif step.kind == "doom":
            scope.set_rollback_only("the program says so")
        else:
            self._numbered(scope, step.kind, next(self.numbers))

    def _numbered(self, scope: Scope[Session], kind: str, number: int) -> None:
        if kind == "write":
            scope.session.execute(INSERT, {"n": number})
            return

        def call_back() -> None:
            self.called.append(number)
            if kind == "failing callback":
                raise StepError

        scope.on_commit(call_back)


def is_what_the_model_says(maker: sessionmaker[Any], program: Block) -> None:
    """Run a program for real and in the model, and compare."""
    engine = maker.kw["bind"]
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM part"))
    model, real = Model(), Program(maker)
    expected = model.run(program)
    assert real.run(program) is expected
    with engine.connect() as connection:
        rows = connection.scalars(text("SELECT n FROM part ORDER BY n")).all()
    assert rows == sorted(model.stored)
    assert real.called == model.called
    assert engine.pool.checkedout() == 0


@contextmanager
def made(engine: Engine) -> Iterator[sessionmaker[Any]]:
    """Give a sessionmaker on an engine with the table of parts."""
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE part (n integer NOT NULL)"))
    yield sessionmaker(engine)
    engine.dispose()


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory) -> Iterator[sessionmaker[Any]]:
    """Give a sessionmaker on a prepared SQLite file."""
    path = tmp_path_factory.mktemp("model") / "model.db"
    with made(prepare_sqlite(create_engine(f"sqlite:///{path}"))) as maker:
        yield maker


@pytest.fixture(scope="module")
def on_postgres(postgres) -> Iterator[sessionmaker[Any]]:
    """Give a sessionmaker on PostgreSQL with connections enough for independent scopes."""
    with (
        databases.postgres_database("psycopg", postgres) as database,
        made(create_engine(database.url, pool_size=20)) as maker,
    ):
        yield maker


@pytest.mark.timeout(600)
def test_random_programs_on_sqlite(on_sqlite, figures):
    """What is stored, called back and raised is what the model says, and the pool is whole."""
    compare(on_sqlite, programs("required", "nested"), figures, examples=size(150, 5_000))


@pytest.mark.timeout(600)
def test_random_programs_on_postgres(on_postgres, figures):
    """The same with independent scopes in between."""
    kinds = programs("required", "nested", "requires_new")
    compare(on_postgres, kinds, figures, examples=size(80, 5_000))


def compare(maker: Any, drawn: st.SearchStrategy[Block], figures: Figures, examples: int) -> None:
    """Run so many programs of a kind."""
    ran = 0

    @seed(SEED)
    @settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(program=drawn)
    def run(program: Block) -> None:
        nonlocal ran
        ran += 1
        is_what_the_model_says(maker, program)

    run()
    figures(f"{ran} programs")
