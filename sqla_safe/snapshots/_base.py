"""What every snapshot is: an instance of a frozen, unmapped subclass of its entity's class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from sqla_safe.errors import FrozenSnapshotError, NotLoadedError, SnapshotUnmappedError
from sqla_safe.snapshots import _compare

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Never

    from sqla_safe.snapshots._plan import Plan


class Snapshot:
    """The first base of every frozen class; see `sqla_safe.snapshots.snapshot`."""

    __slots__ = ()

    _sqs_plan: ClassVar[Plan]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Make an entity: ``type(self)(...)`` in a method of the user's means the mapped class."""
        return cls._sqs_plan.entity(*args, **kwargs)

    def __init_subclass__(cls) -> None:
        """Nothing: hooks of the entity's bases would map the frozen class or register it."""

    def __getattr__(self, name: str) -> Any:
        plan = type(self)._sqs_plan
        if name == "_sa_instance_state":
            raise SnapshotUnmappedError(entity=plan.entity.__name__)
        if name in plan.mapped:
            raise NotLoadedError(
                entity=plan.owner(name),
                attribute=name,
                key=describe_key(self),
                lazy=plan.only_by_query.get(name),
            )
        inherited: Callable[[str], Any] | None = getattr(super(), "__getattr__", None)
        if inherited is not None:
            return inherited(name)
        msg = f"{plan.entity.__name__!r} snapshot has no attribute {name!r}"
        raise AttributeError(msg, name=name, obj=self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Snapshot):
            return NotImplemented
        return self is other or _compare.equal(self, other)

    def __hash__(self) -> int:
        plan = type(self)._sqs_plan
        return hash((plan.entity, *plan.key_of(self)))

    def __repr__(self) -> str:
        return f"<{type(self)._sqs_plan.entity.__name__} snapshot {describe_key(self)}>"

    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self)._sqs_plan.reduce(self)

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self

    def __replace__(self, /, **changes: Any) -> Any:
        from sqla_safe.snapshots._replace import replace  # noqa: PLC0415  (it needs this class)

        return replace(self, **changes)


def refuse_change(snap: Snapshot, name: str, _value: object = None, /) -> Never:
    """Refuse to set or delete an attribute: the `__setattr__` of frozen classes."""
    entity = type(snap)._sqs_plan.entity.__name__
    raise FrozenSnapshotError(
        what=f"{entity}.{name} of a snapshot",
        instead=f"replace(snapshot, {name}=...) gives a changed copy, write_back stores it",
    )


def describe_key(snap: Snapshot) -> str:
    """Return the primary key as text, ``id=5``, without what is marked as sensitive."""
    plan = type(snap)._sqs_plan
    shown = zip(plan.key_names, plan.key_of(snap), strict=True)
    return ", ".join(
        f"{name}=***" if name in plan.sensitive else f"{name}={value!r}" for name, value in shown
    )
