"""What to write instead, for each thing that can go wrong with an attribute."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqla_safe.guard import _codes

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqla_safe.guard._attributes import Attribute


class Repair:
    """The repairs of one attribute, in async or sync code, of an attached or detached entity."""

    def __init__(self, attribute: Attribute, *, is_async: bool, is_attached: bool) -> None:
        self._attribute = attribute
        self._is_async = is_async
        self._is_attached = is_attached

    def of(self, code: str) -> str:
        """Return the repair for what the code names."""
        repairs: dict[str, Callable[[], str]] = {
            _codes.IMPLICIT_IO: self._implicit,
            _codes.AFTER_COMMIT: self._after_commit,
            _codes.AFTER_ROLLBACK: lambda: self._after("rollback"),
            _codes.AFTER_FAILED_FLUSH: self._after_flush,
            _codes.SERVER_GENERATED: self._generated,
            _codes.RAISELOAD: self._raiseload,
            _codes.BY_HAND: self._by_hand,
            _codes.ROW_GONE: lambda: f"{self._snapshot} before the row is deleted",
            _codes.STRICT: lambda: f"{self._snapshot} inside the scope",
        }
        return repairs.get(code, self._detached)()

    @property
    def _snapshot(self) -> str:
        attribute = self._attribute
        is_column = attribute.kind in ("column", "generated", "other")
        what = attribute.variable + ("" if is_column else f", {attribute.name}")
        return f"await asnapshot({what})" if self._is_async else f"snapshot({what})"

    @property
    def _refresh(self) -> str:
        call = f'session.refresh({self._attribute.variable}, ["{self._attribute.key}"])'
        return f"await {call}" if self._is_async else call

    @property
    def _eager(self) -> str | None:
        """The option, where the value is not loaded by itself."""
        if self._attribute.kind in ("column", "generated", "other"):
            return None
        return f"{self._attribute.option} where it is loaded"

    @property
    def _maker(self) -> str:
        maker = "async_sessionmaker" if self._is_async else "sessionmaker"
        return f"{maker}(..., expire_on_commit=False)"

    def _detached(self) -> str:
        return f"{self._snapshot} inside the scope, or {self._eager or 'read it there'}"

    def _implicit(self) -> str:
        refresh = f"{self._refresh} before it is read"
        return f"{self._eager}, or {refresh}" if self._eager else refresh

    def _after_commit(self) -> str:
        first = self._refresh + " after the commit"
        if not self._is_attached:
            first = self._snapshot + " before the commit"
        return f"{first}, or {self._maker}{self._with_eager}"

    def _after(self, what: str) -> str:
        before = f"{self._snapshot} before the {what}{self._with_eager}"
        return f"{self._refresh} after the {what}, or {before}" if self._is_attached else before

    def _by_hand(self) -> str:
        if self._is_attached:
            return f"{self._refresh} after that, or {self._snapshot} before that"
        return f"{self._snapshot} before that, or read it there"

    def _after_flush(self) -> str:
        savepoint = "async with" if self._is_async else "with"
        return (
            f"{self._snapshot} before the flush{self._with_eager}, or `{savepoint} "
            "session.begin_nested():` around the step that may fail"
        )

    @property
    def _with_eager(self) -> str:
        return f" and {self._eager}" if self._eager else ""

    def _generated(self) -> str:
        eager = f'__mapper_args__ = {{"eager_defaults": True}} on {self._attribute.entity}'
        return f"{self._refresh} after the flush, or {eager}"

    def _raiseload(self) -> str:
        return self._eager or f"{self._attribute.option} where it is loaded"
