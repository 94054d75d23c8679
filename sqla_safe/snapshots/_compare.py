"""Are two snapshots equal? Answered without recursion, since graphs are deep and have cycles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqla_safe.snapshots._values import is_frozen_dict, is_frozenset, type_of

if TYPE_CHECKING:
    from sqla_safe.snapshots._base import Snapshot

Pairs = list[tuple[Any, Any]]


def equal(one: Snapshot, other: Snapshot) -> bool:
    """Say whether the graphs behind two snapshots hold the same classes, keys and values."""
    todo: Pairs = [(one, other)]
    seen: set[tuple[int, int]] = set()
    while todo:
        left, right = todo.pop()
        pair = id(left), id(right)
        if left is right or pair in seen:
            continue
        seen.add(pair)
        if not _same_state(left, right, todo):
            return False
    return True


def _same_state(left: Snapshot, right: Snapshot, todo: Pairs) -> bool:
    """Compare what two snapshots hold themselves, and put their relatives on the list."""
    plan, other = type(left)._sqs_plan, type(right)._sqs_plan
    if plan.entity is not other.entity:
        return False
    mine, its = plan.captured(left), other.captured(right)
    if mine.keys() != its.keys():
        return False
    return all(
        _same_related(mine[name], its[name], todo)
        if name in plan.relations
        else _same_value(mine[name], its[name])
        for name in mine
    )


def _same_value(left: Any, right: Any) -> bool:
    """NaN is what was captured, so here it equals itself, also deep inside a JSON value."""
    if left is right or bool(left == right):
        return True
    if type_of(left) is tuple and type_of(right) is tuple:
        return len(left) == len(right) and all(map(_same_value, left, right))
    if is_frozen_dict(left) and is_frozen_dict(right):
        return left.keys() == right.keys() and all(_same_value(left[k], right[k]) for k in left)
    return bool(left != left and right != right)  # noqa: PLR0124


def _same_related(left: Any, right: Any, todo: Pairs) -> bool:
    if type(left) is tuple:
        return type(right) is tuple and _pair(left, right, todo)
    if is_frozenset(left):
        return is_frozenset(right) and _same_members(left, right, todo)
    if is_frozen_dict(left):
        return (
            is_frozen_dict(right)
            and left.keys() == right.keys()
            and _pair(left.values(), [right[key] for key in left], todo)
        )
    if left is None or right is None:
        return left is right
    return _pair([left], [right], todo)


def _pair(left: Any, right: Any, todo: Pairs) -> bool:
    if len(left) != len(right):
        return False
    todo.extend(zip(left, right, strict=True))
    return True


def _same_members(left: frozenset[Any], right: frozenset[Any], todo: Pairs) -> bool:
    """Members of a set are those with the same class and key."""
    mine, its = _by_key(left), _by_key(right)
    return (
        len(left) == len(right)
        and mine.keys() == its.keys()
        and _pair(list(mine.values()), [its[key] for key in mine], todo)
    )


def _by_key(members: frozenset[Snapshot]) -> dict[Any, Any]:
    return {
        (type(snap)._sqs_plan.entity, *type(snap)._sqs_plan.key_of(snap)): snap for snap in members
    }
