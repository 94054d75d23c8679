"""Which collections a relationship can fill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

if TYPE_CHECKING:
    from sqlalchemy.orm import RelationshipProperty


def collection_problem(relation: RelationshipProperty[Any], kind: str) -> str | None:
    """Say why a relationship cannot become this kind of collection, None if it can."""
    made = _made_as(relation)
    if made == "dict" and kind != "dict":
        return "is a dict: write dict[..., ...]"
    if kind == "dict" and made != "dict":
        return f"is a {made}: write tuple[..., ...]"
    if made == "list" and kind in ("set", "frozenset"):
        return "is a list, whose order a set would lose: write tuple[..., ...]"
    return None


def _made_as(relation: RelationshipProperty[Any]) -> str:
    sample = _sample(relation)
    if hasattr(sample, "keys"):
        return "dict"
    return "set" if isinstance(sample, set) or hasattr(sample, "discard") else "list"


def _sample(relation: RelationshipProperty[Any]) -> Any:
    make: Any = cast("Any", relation).collection_class
    return [] if make is None else make()


class _Read(NamedTuple):
    """An attribute that was read."""

    name: str


class _Probe:
    """Says which attribute is read of it."""

    def __getattr__(self, name: str) -> Any:
        return _Read(name)


def key_attribute(relation: RelationshipProperty[Any]) -> str | None:
    """Return the attribute that is the key in a dict, None where it is something else."""
    keyfunc = getattr(_sample(relation), "keyfunc", None)
    if keyfunc is None:
        return None
    try:
        found: Any = keyfunc(_Probe())
    except Exception:  # noqa: BLE001  (whatever a function of somebody else's does with a probe)
        return None
    return str(found.name) if type(found) is _Read else None
