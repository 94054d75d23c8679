"""What calls say of the sessions of a code base: how they are made, and whether one awaits them."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from sqla_safe.checker import _ir as ir

if TYPE_CHECKING:
    from sqla_safe.checker._ir import Expr


def maker(node: Any, name: str) -> str:
    """Return what a call of `sessionmaker` says: `!async:False` keeps what was loaded."""
    words = {word.arg: word.value for word in node.keywords}
    given = words.get("expire_on_commit")
    settled = given is None or isinstance(given, ast.Constant)
    expires = str(getattr(given, "value", True)) if settled and None not in words else "?"
    cls = words.get("class_")
    is_async = "async" in name or "Async" in (getattr(cls, "id", "") or getattr(cls, "attr", ""))
    return f"!{'async' if is_async else 'sync'}:{expires}"


def commit(call: Expr, *, is_awaited: bool) -> tuple[str, ...]:
    """Return whose `commit` is called: `!commit:db.session`, and `!awaited:...` when it is."""
    target = call[1] if call is not None and call[0] == ir.CALL else None
    if target is None or target[0] != ir.ATTRIBUTE or target[2] != "commit":
        return ()
    owner = target[1]
    if owner is None or owner[0] != ir.ATTRIBUTE or owner[1] is None or owner[1][0] != ir.NAME:
        return ()
    return (f"!{'awaited' if is_awaited else 'commit'}:{owner[1][1]}.{owner[2]}",)
