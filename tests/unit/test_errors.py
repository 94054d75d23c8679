"""The exceptions: one code each, a text that names place and repair, and what they are besides."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.exc import (
    ArgumentError,
    IntegrityError,
    InvalidRequestError,
    MultipleResultsFound,
    NoResultFound,
    ResourceClosedError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from sqla_safe import _dbapi, errors

OPENED = "app/handlers.py:31"

# What each class is made with, and a piece of the repair that its text must name.
SAMPLES: list[tuple[type[errors.SqlaSafeError], dict[str, Any], str]] = [
    (
        errors.RollbackOnlyError,
        {"opened_at": OPENED, "reason": "a statement failed", "where": "app/users.py:7"},
        'propagation="nested"',
    ),
    (errors.ManagedTransactionError, {"method": "commit", "opened_at": OPENED}, "session.flush()"),
    (
        errors.ConcurrentUseError,
        {
            "opened_at": OPENED,
            "first_task": "task 'a'",
            "first_at": "a.py:1",
            "second_task": "task 'b'",
            "second_at": "b.py:2",
            "situation": "Two operations at the same time",
        },
        "scoped_services(...)",
    ),
    (
        errors.ScopeClosedError,
        {"opened_at": OPENED, "operation": "session.execute()"},
        "Open a new scope",
    ),
    (errors.NoScopeError, {"wanted": "current_scope() at a.py:1"}, "scoped_services(Session"),
    (
        errors.ScopeOptionError,
        {"problem": "there is no propagation 'joined'", "instead": "one of 'required'"},
        "one of 'required'",
    ),
    (errors.ScopeSourceError, {"got": "Engine", "instead": "sessionmaker(engine)"}, "Instead:"),
    (
        errors.ServiceBuildError,
        {"service": "Clock", "problem": "it needs `zone`", "instead": "inject(Clock, zone=...)"},
        "inject(Clock, zone=...)",
    ),
    (
        errors.CommitOutcomeUnknownError,
        {"opened_at": OPENED, "transaction_id": "745"},
        "Look at the data",
    ),
    (
        errors.ReadOnlyScopeError,
        {"opened_at": OPENED, "what": "INSERT was executed"},
        "without read_only=True",
    ),
    (errors.ScopeTimeoutError, {"opened_at": OPENED, "timeout": 1.5}, "timeout="),
    (
        errors.CommitCallbackError,
        {"opened_at": OPENED, "errors": [ValueError("hook"), KeyError("hook")]},
        "do not run the block again",
    ),
    (
        errors.PoolExhaustedError,
        {"opened_at": OPENED, "problem": "this task itself holds all 1 of the pool"},
        "make the pool larger",
    ),
    (errors.SqliteNotPreparedError, {}, "prepare_sqlite(engine)"),
    (
        errors.NotLoadedError,
        {"entity": "User", "attribute": "balance", "key": "id=5", "lazy": None},
        "snapshot(entity, User.balance)",
    ),
    (
        errors.FrozenSnapshotError,
        {"what": "User.name of a snapshot", "instead": "replace(snapshot, name=...)"},
        "replace(snapshot, name=...)",
    ),
    (
        errors.SnapshotSourceError,
        {"problem": "None was given", "instead": "make sure that a row was found"},
        "make sure",
    ),
    (
        errors.SnapshotPathError,
        {"problem": "'avatars' is not a path", "instead": "User.avatars"},
        "Instead: User.avatars",
    ),
    (errors.PendingEntityError, {"entity": "User"}, "session.flush()"),
    (
        errors.DeletedEntityError,
        {"entity": "User", "what": "has been deleted"},
        "before the DELETE",
    ),
    (
        errors.DetachedEntityError,
        {"entity": "User", "missing": ("User.balance", "User.avatars"), "expired": False},
        "inside the scope",
    ),
    (errors.AsyncLoadError, {"missing": ("User.balance",)}, "await asnapshot"),
    (errors.SnapshotLimitError, {"limit": "max_objects", "value": 100_000}, "max_objects=..."),
    (errors.SnapshotUnmappedError, {"entity": "User"}, "write_back(session"),
    (errors.SnapshotEncodeError, {"attribute": "User.blob", "kind": "Blob"}, "use pickle"),
    (
        errors.SnapshotDecodeError,
        {"entity": "User", "problem": "it is damaged"},
        "load the entity",
    ),
    (
        errors.SnapshotVersionError,
        {"entity": "User", "problem": "Avatar was mapped differently"},
        "load the entity",
    ),
    (
        errors.WriteBackError,
        {"problem": "User.id was changed", "instead": "leave the key as it is"},
        "leave the key",
    ),
    (
        errors.StaleSnapshotError,
        {"entity": "User", "key": "id=5", "base": None, "changed": None, "partly": False},
        "Load it again".lower(),
    ),
    (errors.MissingExtraError, {"extra": "fastapi"}, "pip install 'sqla-safe[fastapi]'"),
    (
        errors.OuterTransactionError,
        {"problem": "Two transactions overlap", "instead": "a database of its own"},
        "a database of its own",
    ),
    (errors.LeakError, {"leaks": ("a scope, opened at app.py:3",)}, "inside the test"),
    (
        errors.StatementCountError,
        {"expected": "exactly 1 statement", "statements": ("app.py:3: SELECT 1",) * 2},
        "selectinload",
    ),
    (
        errors.TaskArgumentError,
        {
            "where": "args[0]",
            "kind": "User",
            "what": "an entity",
            "instead": "await asnapshot(entity)",
        },
        "await asnapshot",
    ),
    (
        errors.ViewDefinitionError,
        {"view": "Card", "entity": "User", "problems": ("Card.a: write b",)},
        "write b",
    ),
    (errors.ViewStatementError, {"problem": "p", "instead": "select(User)"}, "select(User)"),
    (errors.ViewSourceError, {"problem": "p", "instead": "await afetch(...)"}, "await afetch"),
    (
        errors.ViewDataError,
        {"where": "Card.city", "problem": "has no row", "instead": "allow None"},
        "allow None",
    ),
    (errors.ViewNotFoundError, {"view": "Card", "entity": "User"}, "fetch_one_or_none(...)"),
    (errors.ViewAmbiguousError, {"view": "Card", "entity": "User"}, "fetch(...)"),
    (errors.ViewStreamError, {"view": "Card"}, "commit() behind the loop"),
    (
        errors.FsmDataError,
        {"name": "user", "kind": "User", "what": "an entity"},
        "to_dict(snapshot)",
    ),
]
CLASSES = [cls for cls, _, _ in SAMPLES]

each_class = pytest.mark.parametrize(
    ("cls", "facts", "repair"), SAMPLES, ids=[cls.__name__ for cls in CLASSES]
)


def test_every_exported_exception_is_sampled_here() -> None:
    """No exception goes without the checks of this module."""
    exported = {getattr(errors, name) for name in errors.__all__}
    assert exported - {errors.SqlaSafeError, errors.IdleInTransactionWarning} == set(CLASSES)


def test_codes_are_unique_and_have_no_gaps() -> None:
    """Integrations have SQS140 and on (FSM data SQS190), scopes SQS150, snapshots SQS170."""
    codes = sorted(getattr(errors, name).__dict__["code"] for name in errors.__all__)
    numbers = [int(code.removeprefix("SQS")) for code in codes]
    for first, end in ((140, 150), (150, 170), (170, 190), (190, 200)):
        part = [number for number in numbers if first <= number < end]
        assert part == list(range(first, first + len(part)))


def test_the_module_lists_every_class_beside_its_code() -> None:
    """The table at the top of the module is complete and true."""
    table = [line.split() for line in (errors.__doc__ or "").splitlines() if "SQS1" in line]
    listed = {tuple(words[words[0] in "├──└──" :][:2]) for words in table}
    exported = {getattr(errors, name) for name in errors.__all__} - {errors.SqlaSafeError}
    assert listed == {(cls.__name__, cls.code) for cls in exported}


@each_class
def test_text_ends_in_the_code(
    cls: type[errors.SqlaSafeError], facts: dict[str, Any], repair: str
) -> None:
    """The code that leads to the documentation is the last word."""
    assert str(cls(**facts)).endswith(f" [{cls.code}]")


@each_class
def test_text_names_the_repair(
    cls: type[errors.SqlaSafeError], facts: dict[str, Any], repair: str
) -> None:
    """Whoever reads the error knows what to write instead."""
    assert repair in str(cls(**facts))


@each_class
def test_text_holds_all_the_facts(
    cls: type[errors.SqlaSafeError], facts: dict[str, Any], repair: str
) -> None:
    """Nothing that the error knows is kept from its reader."""
    text = str(cls(**facts))
    assert [value for value in facts.values() if isinstance(value, str) and value not in text] == []


@each_class
def test_facts_are_attributes(
    cls: type[errors.SqlaSafeError], facts: dict[str, Any], repair: str
) -> None:
    """Programs read the facts without parsing the text."""
    error = cls(**facts)
    assert {name: getattr(error, name) for name in facts} == facts


@each_class
@pytest.mark.parametrize(
    "copied",
    [
        pytest.param(lambda error: pickle.loads(pickle.dumps(error)), id="pickle"),  # noqa: S301
        pytest.param(copy.copy, id="copy"),
        pytest.param(copy.deepcopy, id="deepcopy"),
    ],
)
def test_survives_copying(
    cls: type[errors.SqlaSafeError],
    facts: dict[str, Any],
    repair: str,
    copied: Callable[[Any], Any],
) -> None:
    """A copy, also one from another process, has the class, the text, the facts and the notes."""
    error = cls(**facts)
    error.add_note("sqla_safe: this was attempt 3")
    other = copied(error)
    assert type(other) is cls
    assert str(other) == str(error)
    assert [getattr(other, name) for name in facts if name != "errors"] == [
        value for name, value in facts.items() if name != "errors"
    ]
    assert other.__notes__ == error.__notes__


@each_class
def test_one_except_clause_catches_all(
    cls: type[errors.SqlaSafeError], facts: dict[str, Any], repair: str
) -> None:
    """Everything that the library raises is a SqlaSafeError and an Exception."""
    with pytest.raises(errors.SqlaSafeError):
        raise cls(**facts)


@pytest.mark.parametrize(
    ("cls", "base"),
    [
        (errors.RollbackOnlyError, InvalidRequestError),
        (errors.ManagedTransactionError, InvalidRequestError),
        (errors.ConcurrentUseError, InvalidRequestError),
        (errors.ScopeClosedError, InvalidRequestError),
        (errors.ReadOnlyScopeError, InvalidRequestError),
        (errors.SqliteNotPreparedError, InvalidRequestError),
        (errors.PoolExhaustedError, PoolTimeoutError),
        (errors.ScopeTimeoutError, TimeoutError),
        (errors.NoScopeError, LookupError),
        (errors.ScopeOptionError, ValueError),
        (errors.ScopeSourceError, TypeError),
        (errors.ServiceBuildError, TypeError),
        (errors.CommitCallbackError, ExceptionGroup),
        (errors.FsmDataError, TypeError),
        (errors.ViewDefinitionError, TypeError),
        (errors.ViewStatementError, ArgumentError),
        (errors.ViewSourceError, TypeError),
        (errors.ViewDataError, ValueError),
        (errors.ViewNotFoundError, NoResultFound),
        (errors.ViewAmbiguousError, MultipleResultsFound),
        (errors.ViewStreamError, ResourceClosedError),
        (errors.MissingExtraError, ImportError),
        (errors.OuterTransactionError, InvalidRequestError),
        (errors.LeakError, AssertionError),
        (errors.StatementCountError, AssertionError),
        (errors.TaskArgumentError, TypeError),
        (errors.IdleInTransactionWarning, UserWarning),
    ],
    ids=lambda value: value.__name__,
)
def test_is_what_users_catch_already(cls: type[Exception], base: type[Exception]) -> None:
    """Code that catches SQLAlchemy's or Python's own class goes on working."""
    assert issubclass(cls, base)


@pytest.mark.parametrize(
    "method", ["commit", "rollback", "close", "begin", "reset", "invalidate", "prepare"]
)
def test_each_forbidden_method_has_a_repair(method: str) -> None:
    """The refusal of a method says what to do instead of it."""
    error = errors.ManagedTransactionError(method=method, opened_at=OPENED)
    assert f"session.{method}() was called" in str(error)
    assert "Instead: " in str(error)


def test_rollback_only_without_a_place_does_without_it() -> None:
    """An unknown line leaves no empty brackets."""
    error = errors.RollbackOnlyError(opened_at=OPENED, reason="stock ran out", where=None)
    assert f"opened at {OPENED}: stock ran out. " in str(error)


def test_unknown_outcome_without_an_id_does_without_it() -> None:
    """A server that gives no transaction id leaves no trace in the text."""
    error = errors.CommitOutcomeUnknownError(opened_at=OPENED, transaction_id=None)
    assert "transaction id" not in str(error)


def test_callback_errors_are_a_group_that_says_stored() -> None:
    """`except*` works on it, and its text says that the data is stored."""
    error = errors.CommitCallbackError(opened_at=OPENED, errors=[ValueError("a"), KeyError("b")])
    assert [type(e) for e in error.exceptions] == [ValueError, KeyError]
    assert "The data is stored" in str(error)


def test_a_part_of_the_callback_errors_is_of_the_same_kind() -> None:
    """Splitting the group keeps the class and the place."""
    error = errors.CommitCallbackError(opened_at=OPENED, errors=[ValueError("a"), KeyError("b")])
    matched, rest = error.split(ValueError)
    assert isinstance(matched, errors.CommitCallbackError)
    assert isinstance(rest, errors.CommitCallbackError)
    assert (matched.opened_at, len(matched.exceptions)) == (OPENED, 1)


def test_a_driver_error_is_described_without_its_text() -> None:
    """Only the class (and the SQLSTATE) of a driver's error is named: its text may hold values."""
    driver = ValueError("Key (email)=(secret@example.org) already exists")
    wrapped = IntegrityError("INSERT ...", {"email": "secret@example.org"}, driver)
    assert _dbapi.describe(wrapped) == "ValueError"
