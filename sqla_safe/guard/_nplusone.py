"""N+1: the same attribute loaded for one entity after another, at the same line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqla_safe._locations import here
from sqla_safe.guard import _codes
from sqla_safe.guard._diagnose import scope_places
from sqla_safe.guard._explanation import Explanation
from sqla_safe.guard._provenance import origin_of
from sqla_safe.guard._sites import in_function
from sqla_safe.guard._telling import log

if TYPE_CHECKING:
    from sqla_safe._locations import Place
    from sqla_safe.guard._attributes import Attribute
    from sqla_safe.guard._records import Record

THRESHOLD = 3
"""From so many entities on it is told; two are no pattern yet."""


def count(record: Record, attribute: Attribute) -> None:
    """Count a load that nobody asked for, and tell when there are too many of them."""
    if attribute.is_expired or attribute.kind not in ("relationship", "deferred", "subclass"):
        return
    read = here()
    if record.counts is None:
        record.counts = {}
    entities = record.counts.setdefault((attribute.name, read), set())
    if len(entities) >= THRESHOLD:
        return
    entities.add(attribute.state.key)
    if len(entities) == THRESHOLD:
        log(record.guard, _explain(record, attribute, read))


def _explain(record: Record, attribute: Attribute, read: Place | None) -> Explanation:
    loaded = origin_of(attribute.state).loaded
    return Explanation(
        code=_codes.N_PLUS_ONE,
        title=f"{attribute.name} was loaded for {THRESHOLD} entities, one by one (N+1)",
        instead=f"{attribute.option} where it is loaded",
        entity=attribute.entity,
        attribute=attribute.key,
        read=None if read is None else in_function(read),
        loaded=loaded if isinstance(loaded, str) or loaded is None else in_function(loaded),
        **scope_places(record),
    )
