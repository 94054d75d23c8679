"""Executing a plan: the root's statement, then one for each level below it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import CursorResult
from sqlalchemy.engine.cursor import CursorFetchStrategy
from sqlalchemy.exc import DBAPIError, UnboundExecutionError
from sqlalchemy.orm import Session

from sqla_safe._reading import base_of, unwatched, watched_read
from sqla_safe.errors import ViewStreamError
from sqla_safe.views._makers import for_cooked, for_raw
from sqla_safe.views._plan import DIRECT
from sqla_safe.views._selects import RAW_RESULT
from sqla_safe.views._statements import Way, require_names
from sqla_safe.views._unjoined import looking_last
from sqla_safe.views._views import view_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sqlalchemy.engine import Dialect

    from sqla_safe.views._makers import Maker
    from sqla_safe.views._plan import Prepared
    from sqla_safe.views._shapes import Level
    from sqla_safe.views._views import View

_RAW = ("sqlite", "postgresql", "mysql", "mariadb")
"""Databases whose drivers give the rows of a SELECT as they are, through the plain cursor."""

_ONE_AT_A_TIME = ("mysql", "mariadb")

_OWN = unwatched(Session.execute)
_EXECUTE = None if hasattr(_OWN, "__wrapped__") else _OWN
_GET_BIND = Session.get_bind
"""The session's own, which somebody may have put something in the place of."""

LOOSE = Way(is_loose=True)

Rows = tuple["Sequence[Any]", "Maker"]


class Request(NamedTuple):
    """What a caller asks for."""

    into: Any
    statement: Any
    params: Mapping[str, Any] | None
    validate: bool

    def view(self) -> View:
        """Return the view of the class."""
        return view_of(self.into, self.statement, validate=self.validate)

    def check(self) -> None:
        """Refuse values that have no names."""
        if self.params is not None:
            require_names(self.params)


def has_listeners(session: Session) -> bool:
    """Say whether somebody has a say in every statement, as tenant filters do."""
    return bool(session.dispatch.do_orm_execute)


def _is_plain(session: Session) -> bool:
    """Say whether the session would do no more than its connection for a SELECT of columns.

    No more than to watch, that is, where it has a method that watches as well.
    """
    base = base_of(type(session))
    return (
        unwatched(base.execute) is _EXECUTE
        and base.get_bind is _GET_BIND
        and not has_listeners(session)
        and not (session.new or session.dirty or session.deleted)
    )


def _is_asked_at(bind: Any, session: Session, mappers: Iterable[Any]) -> bool:
    """Say whether all classes are in the session's own database, and none in another one."""
    for mapper in mappers:  # noqa: SIM110  (half the time of a generator)
        if session.get_bind(mapper) is not bind:
            return False
    return True


def fetch_all(session: Session, request: Request, limit: int | None = None) -> list[Any]:
    """Return the view of each row; with a limit, fewer rows are read, and no more than that."""
    request.check()
    return _start(session, request).all(limit)


def _start(session: Session, request: Request) -> Run:
    if session.bind is not None and _is_plain(session):
        bind = session.get_bind()
        repeated = request.view().repeated(request.statement, request.params, bind.dialect)
        if repeated is not None and _is_asked_at(bind, session, repeated[0].mappers):
            return Run(session, *repeated, is_direct=True)
    prepared = prepare(session, request)
    return Run(session, prepared, request.params, is_direct=is_direct(session, prepared))


def prepare(session: Session, request: Request) -> Prepared:
    """Return what a session is to execute for what it was asked for."""
    view, listens = request.view(), has_listeners(session)
    prepared = view.prepared(request.statement, has_listeners=listens)
    if _are_together(session, prepared):
        return prepared
    return view.prepared(request.statement, has_listeners=listens, is_apart=True)


def _are_together(session: Session, prepared: Prepared) -> bool:
    """Say whether what is joined is in the database that it is joined in, as far as it is told."""
    binds = [(_bind_of(session, here), _bind_of(session, there)) for here, there in prepared.joins]
    return all(there in (here, None) for here, there in binds)


def _bind_of(session: Session, mapper: Any) -> Any:
    """Return what a class is bound to, None where the session was not told."""
    try:
        return session.get_bind(mapper)
    except UnboundExecutionError:
        return None


def is_direct(session: Session, prepared: Prepared) -> bool:
    """Say whether the session's connection would give what the session does."""
    if session.bind is None or not _is_plain(session):
        return False
    return _is_asked_at(session.get_bind(), session, prepared.mappers)


def _reader(session: Session, arguments: dict[str, Any]) -> tuple[Callable[..., Any], Dialect]:
    """Return what executes a statement without the ORM."""
    read = watched_read(session)
    if read is not None:
        return partial(read, bind_arguments=arguments), session.get_bind(**arguments).dialect
    connection = session.connection(bind_arguments=arguments)
    return connection.execute, connection.dialect


class Run:
    """One execution of a plan."""

    __slots__ = ("ask", "dialect", "memos", "parameters", "prepared", "session")

    def __init__(
        self, session: Session, prepared: Prepared, parameters: Any, *, is_direct: bool
    ) -> None:
        self.session, self.prepared, self.parameters = session, prepared, parameters
        self.memos: list[dict[Any, Any]] = [{} for _ in range(prepared.memos)]
        arguments: Any = {"mapper": prepared.given_mapper, "clause": prepared.root}
        self.ask: Callable[..., Any] | None = None
        if is_direct:
            self.ask, self.dialect = _reader(session, arguments)
        else:
            self.dialect = session.get_bind(**arguments).dialect

    def all(self, limit: int | None) -> list[Any]:
        """Return the root's objects."""
        level = self.prepared.level
        root = self.prepared.root
        rows, maker = self._rows(level, self.dialect, root, self.parameters, {}, limit)
        if limit is not None and len(rows) >= limit:
            return list(rows)
        built: list[Any] = self._built(level, self.prepared.rows(rows), maker)
        return built

    def batches(self, size: int) -> Iterator[list[Any]]:
        """Give the root's objects, so many at a time."""
        level, prepared = self.prepared.level, self.prepared
        # A second statement cannot be run on MySQL while the rows of the first are on their way.
        options = {} if self.dialect.name in _ONE_AT_A_TIME else {"yield_per": size}
        result = self._execute(prepared.root, self.parameters, options)
        transaction = self.session.get_transaction()
        maker = for_cooked(level)
        try:
            while rows := _some(result, size, self.dialect):
                self.memos = [{} for _ in self.memos]
                self._look_again()
                yield self._built(level, prepared.rows(rows), maker)
                if self.session.get_transaction() is not transaction:
                    raise ViewStreamError(view=level.title)
        finally:
            result.close()

    def _look_again(self) -> None:
        """What came into the session during the last batch has to be written before the next."""
        if self.ask is not None and not _is_plain(self.session):
            self.ask = None

    def _dialect(self, level: Level) -> Dialect:
        """Where the session decides, each level may be in another database, of another kind."""
        if self.ask is not None or level.link is None:
            return self.dialect
        bind = _bind_of(self.session, level.mapper)
        return self.dialect if bind is None else bind.dialect

    def _built(self, level: Level, rows: Sequence[Any], maker: Maker) -> Any:
        children = level.children
        kids = [self._below(child, maker.keys[at](rows)) for at, child in enumerate(children)]
        return maker.build(rows, kids, self.memos)

    def _below(self, level: Level, keys: list[Any]) -> dict[Any, Any]:
        if not keys:
            return {}
        dialect, link = self._dialect(level), level.link
        assert link is not None
        rows, maker = self._asked(level, dialect, keys, DIRECT)
        if link.loose is not None and not _are_known(rows, len(link.keys), keys):
            rows, maker = self._asked(level, dialect, keys, LOOSE)
        built: dict[Any, Any] = self._built(level, rows, maker)
        return built

    def _asked(self, level: Level, dialect: Dialect, keys: list[Any], way: Way) -> Rows:
        statement, asking = self.prepared.below(level, dialect, way)
        parameters = asking.parameters(keys, dialect) if asking.chunk is None else None
        if parameters is None:
            return self._in_chunks(level, dialect, keys, way)
        options = self.prepared.execution_options
        return self._rows(level, dialect, statement, parameters, options)

    def _in_chunks(self, level: Level, dialect: Dialect, keys: list[Any], way: Way) -> Rows:
        statement, asking = self.prepared.below(level, dialect, way)
        if asking.chunk is None:
            plain = way._replace(is_plain=True)
            statement, asking = self.prepared.below(level, dialect, plain)
        options, size = self.prepared.execution_options, asking.chunk or len(keys)
        found: list[Any] = []
        maker = for_cooked(level)
        for start in range(0, len(keys), size):
            parameters = asking.parameters(keys[start : start + size], dialect)
            rows, maker = self._rows(level, dialect, statement, parameters, options)
            found += rows
        return found, maker

    def _rows(  # noqa: PLR0917  (called for each statement, where keywords cost)
        self,
        level: Level,
        dialect: Dialect,
        statement: Any,
        parameters: Any,
        options: Any,
        limit: int | None = None,
    ) -> Rows:
        """Return the rows as the driver gives them, and the code that knows what they mean."""
        result = self._execute(statement, parameters, options)
        cursor = self._cursor(result, dialect)
        given = result if cursor is None else cursor
        try:
            rows = _some(given, limit, dialect)
            if cursor is None:
                return rows, for_cooked(level)
            return rows, for_raw(level, dialect, cursor.description)
        finally:
            given.close()  # of a cursor it is all that closing the result would do

    def _execute(self, statement: Any, parameters: Any, options: Any) -> Any:
        if self.ask is None:
            return self._execute_by_session(statement, parameters, options)
        options = options | RAW_RESULT if options else RAW_RESULT
        return self.ask(statement, parameters, execution_options=options)

    def _execute_by_session(self, statement: Any, parameters: Any, options: Any) -> Any:
        execute, doubted = self.session.execute, self.prepared.doubted
        if doubted is None or statement is not self.prepared.root:
            return execute(statement, parameters, execution_options=options)
        with looking_last(self.session, self.prepared.level, doubted):
            return execute(statement, parameters, execution_options=options)

    def _cursor(self, result: Any, dialect: Dialect) -> Any:
        """Return the driver's cursor, None where the rows come from somewhere else."""
        raw = result if self.ask is not None else getattr(result, "raw", None)
        if dialect.name not in _RAW or not isinstance(raw, CursorResult):
            return None
        # Any other strategy has taken rows from the cursor already, as for server-side cursors.
        return raw.cursor if type(raw.cursor_strategy) is CursorFetchStrategy else None


def _are_known(rows: Sequence[Any], width: int, keys: list[Any]) -> bool:
    """Say whether the keys of rows, their last columns, are among those that were asked for."""
    if width == 1:
        return {row[-1] for row in rows}.issubset(keys)
    return {tuple(row[-width:]) for row in rows}.issubset(keys)


def _some(rows: Any, size: int | None, dialect: Dialect) -> Sequence[Any]:
    try:
        found: Sequence[Any] = rows.fetchall() if size is None else rows.fetchmany(size)
    except dialect.loaded_dbapi.Error as error:
        raise _wrapped(error, dialect) from error
    return found


def _wrapped(error: Any, dialect: Dialect) -> Exception:
    instance: Any = DBAPIError.instance
    wrapped = instance(
        None, None, error, dialect.loaded_dbapi.Error, hide_parameters=True, dialect=dialect
    )
    return wrapped if isinstance(wrapped, Exception) else error
