"""What runs after COMMIT and after ROLLBACK."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from sqla_safe import _dbapi
from sqla_safe.errors import CommitCallbackError, ScopeOptionError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sqla_safe._locations import Place
    from sqla_safe.scopes._boundary import Boundary


def move_up(boundary: Boundary) -> None:
    """A savepoint was released: its callbacks wait for what is around it."""
    around = boundary.parent
    assert around is not None
    around.is_plain = False
    around.on_commit = [*around.on_commit, *boundary.on_commit]
    around.on_rollback = [*around.on_rollback, *boundary.on_rollback]


def after_commit(boundary: Boundary, opened: Place) -> None:
    """Run the callbacks of a sync scope.

    Raises:
        CommitCallbackError: some failed; all have run.
    """
    _raise_all(_run(_on_commit(boundary)), opened)


async def after_commit_async(boundary: Boundary, opened: Place) -> None:
    """Run the callbacks of an async scope, awaiting those that are coroutines.

    Raises:
        CommitCallbackError: some failed; all have run.
    """
    _raise_all(await _run_async(_on_commit(boundary)), opened)


def after_rollback(boundary: Boundary, error: BaseException) -> None:
    """Run the callbacks of a sync scope; what they raise becomes a note on the error."""
    _note_all(_run(_on_rollback(boundary)), error)


async def after_rollback_async(boundary: Boundary, error: BaseException) -> None:
    """Run the callbacks of an async scope; what they raise becomes a note on the error."""
    _note_all(await _run_async(_on_rollback(boundary)), error)


captured: dict[int, list[Callable[[], Any]]] = {}
"""By the ``id()`` of a sessionmaker whose callbacks a test looks at, instead of running them."""


def _on_commit(boundary: Boundary) -> Sequence[Callable[[], Any]]:
    callbacks = boundary.on_commit
    boundary.on_commit = boundary.on_rollback = ()
    kept = captured.get(id(getattr(boundary, "source", None))) if captured else None
    if kept is None:
        return callbacks
    kept.extend(callbacks)
    return ()


def _on_rollback(boundary: Boundary) -> Sequence[Callable[[], Any]]:
    callbacks = boundary.on_rollback
    boundary.on_commit = boundary.on_rollback = ()
    return callbacks


def _run(callbacks: Sequence[Callable[[], Any]]) -> list[BaseException]:
    errors: list[BaseException] = []
    for callback in callbacks:
        try:
            result = callback()
            if inspect.isawaitable(result):
                _refuse_coroutine(result)
        except BaseException as error:  # noqa: BLE001  (collected; the others must run)
            errors.append(error)
    return errors


def _refuse_coroutine(result: Awaitable[Any]) -> None:
    if inspect.iscoroutine(result):
        result.close()
    raise ScopeOptionError(
        problem="a callback of a sync scope is a coroutine function, and nobody can await it",
        instead="register a plain function",
    )


async def _run_async(callbacks: Sequence[Callable[[], Any]]) -> list[BaseException]:
    errors: list[BaseException] = []
    for callback in callbacks:
        try:
            result = callback()
            if inspect.isawaitable(result):
                await result
        except GeneratorExit:  # the loop is gone, and nothing can be awaited any more
            raise
        except BaseException as error:  # noqa: BLE001  (collected; the others must run)
            errors.append(error)
    return errors


def _raise_all(errors: list[BaseException], opened: Place) -> None:
    failed, stop = _sorted(errors)
    if stop is not None:
        stop.add_note(
            "sqla_safe: raised by an on_commit callback; the data of the scope opened at "
            f"{opened} is stored"
        )
        _note(failed, stop, "on_commit")
        raise stop
    if failed:
        raise CommitCallbackError(opened_at=str(opened), errors=failed)


def _note_all(errors: list[BaseException], error: BaseException) -> None:
    failed, stop = _sorted(errors)
    _note(failed, error, "on_rollback")
    if stop is not None:
        raise stop


def _sorted(errors: list[BaseException]) -> tuple[list[Exception], BaseException | None]:
    """Part failures from what ends a program or a task, such as Ctrl-C: that must not be lost."""
    failed = [error for error in errors if isinstance(error, Exception)]
    stops = [error for error in errors if not isinstance(error, Exception)]
    return failed, stops[0] if stops else None


def _note(errors: list[Exception], error: BaseException, kind: str) -> None:
    for failed in errors:
        error.add_note(f"sqla_safe: an {kind} callback failed with {_dbapi.describe(failed)}")
