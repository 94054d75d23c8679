"""`fetch` and its family: thin shells around one execution of a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from sqlalchemy import Executable

from sqla_safe import _mapping
from sqla_safe.errors import (
    ViewAmbiguousError,
    ViewDefinitionError,
    ViewNotFoundError,
)
from sqla_safe.views._explain import ViewPlan
from sqla_safe.views._hints import type_name
from sqla_safe.views._resolver import name_of
from sqla_safe.views._run import Request, fetch_all
from sqla_safe.views._sessions import async_session, sync_session
from sqla_safe.views._statements import read_statement
from sqla_safe.views._stream import check_size, stream
from sqla_safe.views._views import plan_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from sqlalchemy import Select
    from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session
    from sqlalchemy.orm import Session, scoped_session

V = TypeVar("V")


class HasSession(Protocol):
    """A `Scope`, or whatever else has a session."""

    @property
    def session(self) -> Session:
        """The session."""
        ...


class HasAsyncSession(Protocol):
    """An `AsyncScope`, or whatever else has an asynchronous session."""

    @property
    def session(self) -> AsyncSession:
        """The session."""
        ...


def fetch(
    source: Session | scoped_session[Any] | HasSession,
    into: type[V],
    stmt: Select[Any],
    params: Mapping[str, Any] | None = None,
    *,
    validate: bool = True,
) -> list[V]:
    """Load the rows of a SELECT into a class of one's own; no entity is made.

    The type hints of the class say what is loaded: only those columns, to-one relationships joined,
    and one further statement for each collection, whatever the number of rows. The same row met
    twice is one object.

    Args:
        source: a `Session`, or a `Scope` of `scoped_services`.
        into: a dataclass, ``msgspec.Struct``, attrs class, ``NamedTuple``, ``TypedDict`` or
            pydantic model, whose fields have the names of the entity's attributes; see `Path` and
            `Expr` for all others.
        stmt: a SELECT of one entity, with its own conditions, order and limit.
        params: values for the statement's bound parameters, by name, as for `Session.execute`.
        validate: False leaves out the validation of pydantic models.

    Returns:
        One object for each row, in the order of the rows.

    Raises:
        ViewDefinitionError: the class cannot be filled from the entity; it says all that is wrong.
        ViewStatementError: the statement is no SELECT of one entity.
        ViewSourceError: the source is no session or scope, or an asynchronous one.
        ViewDataError: a row does not fit the class.

    Example:
        >>> @dataclass(frozen=True, slots=True)
        ... class UserCard:
        ...     id: int
        ...     name: str
        >>> with scoped_services(Session) as scope:
        ...     cards = fetch(scope, UserCard, select(User).order_by(User.id))
    """
    return fetch_all(sync_session(source, "fetch"), Request(into, stmt, params, validate))


async def afetch(
    source: AsyncSession | async_scoped_session[Any] | HasAsyncSession,
    into: type[V],
    stmt: Select[Any],
    params: Mapping[str, Any] | None = None,
    *,
    validate: bool = True,
) -> list[V]:
    """Load the rows of a SELECT into a class of one's own: `fetch` for asynchronous sessions.

    Args:
        source: an `AsyncSession`, or an `AsyncScope` of `scoped_services`.
        into: the view's class.
        stmt: a SELECT of one entity.
        params: values for the statement's bound parameters, by name, as for `Session.execute`.
        validate: False leaves out the validation of pydantic models.

    Returns:
        One object for each row, in the order of the rows.

    Raises:
        ViewDefinitionError: the class cannot be filled from the entity; it says all that is wrong.
        ViewStatementError: the statement is no SELECT of one entity.
        ViewSourceError: the source is no session or scope, or a synchronous one.
        ViewDataError: a row does not fit the class.

    Example:
        >>> async with scoped_services(Session) as scope:
        ...     cards = await afetch(scope, UserCard, select(User).order_by(User.id))
    """
    session = async_session(source, "afetch")
    return await session.run_sync(fetch_all, Request(into, stmt, params, validate))


def fetch_one(
    source: Session | scoped_session[Any] | HasSession,
    into: type[V],
    stmt: Select[Any],
    params: Mapping[str, Any] | None = None,
    *,
    validate: bool = True,
) -> V:
    """Load the only row of a SELECT into a class of one's own, as `fetch` does.

    Raises:
        ViewNotFoundError: there is no row. (It is a ``sqlalchemy.exc.NoResultFound``.)
        ViewAmbiguousError: there are several. (It is a ``sqlalchemy.exc.MultipleResultsFound``.)
    """
    session = sync_session(source, "fetch_one")
    found: list[V] = fetch_all(session, Request(into, stmt, params, validate), 2)
    return _only(into, stmt, found)


async def afetch_one(
    source: AsyncSession | async_scoped_session[Any] | HasAsyncSession,
    into: type[V],
    stmt: Select[Any],
    params: Mapping[str, Any] | None = None,
    *,
    validate: bool = True,
) -> V:
    """Load the only row of a SELECT: `fetch_one` for asynchronous sessions.

    Raises:
        ViewNotFoundError: there is no row. (It is a ``sqlalchemy.exc.NoResultFound``.)
        ViewAmbiguousError: there are several. (It is a ``sqlalchemy.exc.MultipleResultsFound``.)
    """
    session = async_session(source, "afetch_one")
    found: list[V] = await session.run_sync(fetch_all, Request(into, stmt, params, validate), 2)
    return _only(into, stmt, found)


def fetch_one_or_none(
    source: Session | scoped_session[Any] | HasSession,
    into: type[V],
    stmt: Select[Any],
    params: Mapping[str, Any] | None = None,
    *,
    validate: bool = True,
) -> V | None:
    """Load the only row of a SELECT into a class of one's own; None when there is no row.

    Raises:
        ViewAmbiguousError: there are several rows.
    """
    session = sync_session(source, "fetch_one_or_none")
    return _only_or_none(into, stmt, fetch_all(session, Request(into, stmt, params, validate), 2))


async def afetch_one_or_none(
    source: AsyncSession | async_scoped_session[Any] | HasAsyncSession,
    into: type[V],
    stmt: Select[Any],
    params: Mapping[str, Any] | None = None,
    *,
    validate: bool = True,
) -> V | None:
    """Load the only row of a SELECT, or None: `fetch_one_or_none` for asynchronous sessions.

    Raises:
        ViewAmbiguousError: there are several rows.
    """
    session = async_session(source, "afetch_one_or_none")
    return _only_or_none(
        into, stmt, await session.run_sync(fetch_all, Request(into, stmt, params, validate), 2)
    )


def stream_views(
    source: Session | scoped_session[Any] | HasSession,
    into: type[V],
    stmt: Select[Any],
    params: Mapping[str, Any] | None = None,
    *,
    batch_size: int = 1_000,
    validate: bool = True,
) -> Iterator[list[V]]:
    """Load the rows of a SELECT in batches, so that memory holds one batch at a time.

    Args:
        source: a `Session`, or a `Scope` of `scoped_services`.
        into: the view's class.
        stmt: a SELECT of one entity.
        params: values for the statement's bound parameters, by name, as for `Session.execute`.
        batch_size: how many of its rows a batch has.
        validate: False leaves out the validation of pydantic models.

    Yields:
        Lists of objects, in the order of the rows. The same row met twice is one object within a
        batch.

    Raises:
        ViewDefinitionError: the class cannot be filled from the entity.
        ViewStatementError: the statement is no SELECT of one entity.
        ViewSourceError: the source is no session or scope, or an asynchronous one.
        ViewDataError: a row does not fit the class.
        ViewStreamError: the transaction ended between two batches.

    Example:
        >>> with scoped_services(Session) as scope:
        ...     for batch in stream_views(scope, UserCard, select(User).order_by(User.id)):
        ...         export(batch)
    """
    check_size(batch_size)
    return stream(
        sync_session(source, "stream_views"), Request(into, stmt, params, validate), batch_size
    )


async def astream_views(
    source: AsyncSession | async_scoped_session[Any] | HasAsyncSession,
    into: type[V],
    stmt: Select[Any],
    params: Mapping[str, Any] | None = None,
    *,
    batch_size: int = 1_000,
    validate: bool = True,
) -> AsyncIterator[list[V]]:
    """Load the rows of a SELECT in batches: `stream_views` for asynchronous sessions.

    Args:
        source: an `AsyncSession`, or an `AsyncScope` of `scoped_services`.
        into: the view's class.
        stmt: a SELECT of one entity.
        params: values for the statement's bound parameters, by name, as for `Session.execute`.
        batch_size: how many of its rows a batch has.
        validate: False leaves out the validation of pydantic models.

    Yields:
        Lists of objects, in the order of the rows.

    Raises:
        ViewDefinitionError: the class cannot be filled from the entity.
        ViewStatementError: the statement is no SELECT of one entity, or ``batch_size`` no positive
            whole number.
        ViewSourceError: the source is no session or scope, or a synchronous one.
        ViewDataError: a row does not fit the class.
        ViewStreamError: the transaction ended between two batches.

    Example:
        >>> async with scoped_services(Session) as scope:
        ...     async for batch in astream_views(scope, UserCard, select(User)):
        ...         await export(batch)
    """
    check_size(batch_size)
    session = async_session(source, "astream_views")
    batches = stream(session.sync_session, Request(into, stmt, params, validate), batch_size)
    try:
        while (batch := await session.run_sync(lambda _: next(batches, None))) is not None:
            yield batch
    finally:
        await session.run_sync(lambda _: batches.close())


def view_plan(into: type[V], entity: type[Any], *, validate: bool = True) -> ViewPlan[V]:
    """Compile a view against an entity, as its first `fetch` would, and return what it executes.

    Call it where the class is defined, or in a test, to learn at once that the two do not fit.

    Args:
        into: the view's class.
        entity: the mapped class.
        validate: whether pydantic models are to be validated.

    Raises:
        ViewDefinitionError: the class cannot be filled from the entity; it says all that is wrong.

    Example:
        >>> print(view_plan(UserCard, User))
    """
    mapper = _mapping.mapper_or_none(entity)
    if mapper is None:
        raise _no_entity(into, entity)
    plan = plan_of(into, mapper, validate=validate)
    if plan.shown is None:
        plan.shown = ViewPlan(plan)
    shown: ViewPlan[V] = plan.shown
    return shown


def _no_entity(into: type[Any], given: Any) -> ViewDefinitionError:
    kind, there = type_name(given), "the entity that the view is of"
    if isinstance(given, Executable):
        kind = "a statement"
        described: Any = getattr(given, "column_descriptions", None)
        mapper = _mapping.mapper_or_none(described[0]["entity"]) if described else None
        there = there if mapper is None else f"view_plan({type_name(into)}, {name_of(mapper)})"
    problem = f"{kind} is not a mapped class; name {there}"
    return ViewDefinitionError(view=type_name(into), entity=kind, problems=(problem,))


def _only(into: type[V], stmt: Any, found: list[V]) -> V:
    if len(found) == 1:
        return found[0]
    view, entity = type_name(into), read_statement(stmt).mapper.class_.__name__
    if found:
        raise ViewAmbiguousError(view=view, entity=entity)
    raise ViewNotFoundError(view=view, entity=entity)


def _only_or_none(into: type[V], stmt: Any, found: list[V]) -> V | None:
    return _only(into, stmt, found) if found else None
