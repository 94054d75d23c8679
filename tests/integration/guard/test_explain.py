"""`explain` and the hooks: exceptions from anywhere, after the fact."""

from __future__ import annotations

import asyncio
import io
import logging
import pickle
import sys
import threading
import traceback

import pytest
from pydantic import BaseModel, ValidationError
from sqlalchemy.exc import MissingGreenlet, StatementError
from sqlalchemy.orm.exc import DetachedInstanceError

from sqla_safe import (
    ConcurrentUseError,
    ExplainFilter,
    explain,
    explain_asyncio,
    explain_excepthook,
    explain_logging,
)
from tests.integration.guard.models import User

pytestmark = [
    pytest.mark.parametrize("sync_database", ["sqlite3"], indirect=True),
]


@pytest.fixture
def detached(plain):
    """Give an error of a session that is not guarded."""
    with plain() as session:
        user = session.get(User, 1)
    try:
        _ = user.team
    except DetachedInstanceError as error:
        return error
    pytest.fail("it can be read")


def test_an_error_of_an_unguarded_session_is_explained(detached):
    """The traceback tells entity, attribute, line and repair."""
    explanation = explain(detached)
    assert explanation is not None
    assert explanation.title == "User.team was read after its scope had ended"
    assert "test_explain.py" in (explanation.read or "")
    assert "selectinload(User.team)" in explanation.instead
    assert explanation.loaded is None


def test_the_error_itself_is_left_alone(detached):
    """`explain` only looks."""
    explain(detached)
    assert not hasattr(detached, "__notes__")


def _raised_from(error):
    outer = RuntimeError("failed")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda error: StatementError("failed", None, None, error), id="orig"),
        pytest.param(lambda error: ExceptionGroup("several", [ValueError(), error]), id="group"),
        pytest.param(_raised_from, id="cause"),
    ],
)
def test_it_looks_into_other_exceptions(detached, wrap):
    """What an exception wraps, groups, or was raised from."""
    assert explain(wrap(detached)) == explain(detached)


def test_anything_else_is_not_explained(sync_database):
    """None, not a guess."""
    assert explain(ValueError("lazy load operation of attribute")) is None


class _Number(BaseModel):
    number: int


class _OtherValidationError(Exception):
    errors = ("a text",)


@pytest.mark.parametrize("given", [5, {"number": "five"}], ids=["whole", "field"])
def test_what_is_no_attribute_of_an_entity_is_not_explained(sync_database, given):
    """A validator complains of the whole object, too, where there is no attribute to name."""
    with pytest.raises(ValidationError) as caught:
        _Number.model_validate(given)
    assert explain(caught.value) is None


def test_errors_that_are_only_called_like_a_validators_are_left_alone(sync_database):
    """Other libraries keep something else under that name."""
    assert explain(_OtherValidationError()) is None


def test_a_circle_of_causes_ends(sync_database):
    """Two exceptions may be each other's context."""
    first, second = ValueError(), ValueError()
    first.__context__, second.__context__ = second, first
    assert explain(first) is None


def test_an_error_that_was_never_raised_is_explained(sync_database):
    """There is no traceback to read, and the text is enough."""
    explanation = explain(MissingGreenlet("greenlet_spawn has not been called"))
    assert explanation is None or explanation.code == "SQS102"


def test_concurrent_use_in_a_scope_is_explained(sync_database):
    """The scopes' own error as an Explanation."""
    error = ConcurrentUseError(
        opened_at="a.py:1",
        first_task="task 'a'",
        first_at="a.py:2",
        second_task="task 'b'",
        second_at="a.py:3",
        situation="Two operations",
    )
    explanation = explain(error)
    assert explanation is not None
    assert (explanation.code, explanation.read, explanation.opened) == (
        *("SQS153", "a.py:3"),
        "a.py:1",
    )


def test_an_explained_error_can_be_pickled(maker):
    """Errors cross processes, with their explanation."""
    with maker() as session:
        user = session.get(User, 1)
    with pytest.raises(DetachedInstanceError) as caught:
        _ = user.team
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301
    assert explain(copy) == explain(caught.value)
    assert copy.__notes__ == caught.value.__notes__


def test_the_log_explains(detached):
    """A handler with the filter prints the explanation beneath the traceback."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("tests.guard")
    logger.addHandler(handler)
    undo = explain_logging(handler)
    try:
        logger.error("it failed", exc_info=detached)
        undo()
        assert handler.filters == []
    finally:
        logger.removeHandler(handler)
    assert "SQS101 User.team was read" in stream.getvalue()


def test_a_record_holds_the_explanation(detached):
    """For formatters that write JSON."""
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "m", (), (None, detached, None))
    assert ExplainFilter().filter(record)
    assert record.sqla_safe.code == "SQS101"


def test_a_record_without_an_exception_passes(sync_database):
    """Nothing to explain, nothing to stop."""
    record = logging.LogRecord("x", logging.INFO, "x.py", 1, "m", (), None)
    assert ExplainFilter().filter(record)
    assert not hasattr(record, "sqla_safe")


def test_an_error_is_annotated_once(detached):
    """However many handlers there are."""
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "m", (), (None, detached, None))
    for _ in range(2):
        ExplainFilter().filter(record)
        del record.sqla_safe
    assert len(detached.__notes__) == 1


async def test_asyncio_explains(detached):
    """Exceptions that nobody awaited, before the handler that was there."""
    loop = asyncio.get_running_loop()
    seen: list[BaseException] = []
    loop.set_exception_handler(lambda _, context: seen.append(context["exception"]))
    undo = explain_asyncio()
    loop.call_exception_handler({"message": "x", "exception": detached})
    undo()
    assert seen == [detached]
    assert "SQS101" in detached.__notes__[0]
    loop.set_exception_handler(None)


async def test_asyncio_without_a_handler_of_its_own(detached, caplog):
    """The default handler logs it."""
    undo = explain_asyncio(asyncio.get_running_loop())
    asyncio.get_running_loop().call_exception_handler({"message": "lost", "exception": detached})
    undo()
    assert asyncio.get_running_loop().get_exception_handler() is None
    assert "lost" in caplog.text
    assert "SQS101" in detached.__notes__[0]


def test_the_interpreter_explains(detached, monkeypatch):
    """What ends the program, or a thread."""
    seen: list[str] = []

    def show(*arguments):
        error = arguments[1] if len(arguments) > 1 else arguments[0].exc_value
        seen.append("".join(traceback.format_exception_only(error)))

    monkeypatch.setattr(sys, "excepthook", show)
    monkeypatch.setattr(threading, "excepthook", show)
    undo = explain_excepthook()
    sys.excepthook(type(detached), detached, None)
    thread = threading.Thread(target=_raise, args=[detached])
    thread.start()
    thread.join()
    undo()
    assert sys.excepthook is show
    assert threading.excepthook is show
    assert len(seen) == 2
    assert all("SQS101" in text for text in seen)


def _raise(error):
    raise error
