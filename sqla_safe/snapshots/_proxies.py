"""Association proxies of a snapshot: read through to what was captured."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.associationproxy import AssociationProxy
from typing_extensions import TypeIs

from sqla_safe.snapshots._values import FrozenDict, is_frozen_collection, is_frozen_dict


def is_proxy(descriptor: object) -> TypeIs[AssociationProxy[Any]]:
    """Say whether a descriptor of a mapped class is an association proxy."""
    return isinstance(descriptor, AssociationProxy)


def proxy_property(proxy: AssociationProxy[Any]) -> property:
    """Return a property that reads like the association proxy, in frozen containers."""
    through, attribute = proxy.target_collection, proxy.value_attr

    def read(snap: Any) -> Any:
        related = getattr(snap, through)
        if is_frozen_dict(related):
            return FrozenDict({key: getattr(item, attribute) for key, item in related.items()})
        if is_frozen_collection(related):
            return type(related)([getattr(item, attribute) for item in related])
        return None if related is None else getattr(related, attribute)

    read.__doc__ = proxy.__doc__
    return property(read)
