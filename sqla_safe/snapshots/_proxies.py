"""Association proxies of a snapshot: read through to what was captured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqla_safe.snapshots._values import FrozenDict

if TYPE_CHECKING:
    from sqlalchemy.ext.associationproxy import AssociationProxy


def proxy_property(proxy: AssociationProxy[Any]) -> property:
    """Return a property that reads like the association proxy, in frozen containers."""
    through, attribute = proxy.target_collection, proxy.value_attr

    def read(snap: Any) -> Any:
        related = getattr(snap, through)
        if isinstance(related, FrozenDict):
            return FrozenDict({key: getattr(item, attribute) for key, item in related.items()})
        if isinstance(related, (tuple, frozenset)):
            return type(related)([getattr(item, attribute) for item in related])
        return None if related is None else getattr(related, attribute)

    read.__doc__ = proxy.__doc__
    return property(read)
