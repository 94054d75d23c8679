"""An attribute of an entity: what it is called, why it is not there, and how it is loaded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy.orm import ColumnProperty, RelationshipProperty

if TYPE_CHECKING:
    from sqlalchemy.orm import InstanceState

LOADED = "sqla_safe_loaded"
"""The key in an entity's ``info`` for what was loaded at the end of a strictly guarded session."""
AttributeKind = Literal["relationship", "deferred", "subclass", "generated", "column", "other"]


class Attribute:
    """One attribute of one entity."""

    def __init__(self, state: InstanceState[Any], key: str) -> None:
        self.state = state
        self.key = key
        self.prop: Any = state.mapper.attrs.get(key)

    @property
    def name(self) -> str:
        """``User.balance``."""
        return f"{self.entity}.{self.key}"

    @property
    def entity(self) -> str:
        """``User``."""
        return self.state.class_.__name__

    @property
    def variable(self) -> str:
        """What a variable that holds the entity may be called."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", self.entity).lower()

    @property
    def kind(self) -> AttributeKind:
        """Say what it is, as far as loading is concerned."""
        if issubclass(type(self.prop), RelationshipProperty):
            return "relationship"
        if not self._is_column:
            return "other"
        if self.prop.deferred or _is_deferred_by_option(self.state, self.key):
            return "deferred"
        if self._loaded_as() is not None:
            return "subclass"
        return "generated" if self._is_generated() else "column"

    @property
    def _is_column(self) -> bool:
        return issubclass(type(self.prop), ColumnProperty)

    @property
    def is_expired(self) -> bool:
        """Say whether a value was there and was thrown away, as far as SQLAlchemy knows."""
        return self.state.expired or (
            self.key in self.state.expired_attributes and self.kind != "subclass"
        )

    @property
    def was_loaded(self) -> bool:
        """Say whether a value was there when strict mode threw all of them away."""
        return self.key in self.state.info.get(LOADED, ())

    @property
    def option(self) -> str:
        """The loader option that loads it together with what it belongs to."""
        steps = [f"selectinload({step})" for step in self._path()]
        base = self._loaded_as()
        if self.kind == "relationship":
            steps.append(f"selectinload({self.name})")
        elif base is not None:
            steps.append(f"selectin_polymorphic({base}, [{self.entity}])")
        else:
            steps.append(f"undefer({self.name})")
        return f".options({'.'.join(steps)})"

    def _path(self) -> list[str]:
        """Return the relationships over which the entity was loaded."""
        path: Any = self.state.load_path.path
        steps = [step for step in path if issubclass(type(step), RelationshipProperty)]
        return [f"{step.parent.class_.__name__}.{step.key}" for step in steps]

    def _loaded_as(self) -> str | None:
        """Return the base class as which the entity was loaded, without this column's table."""
        mapper = self.state.mapper
        base = mapper.inherits
        if base is None or not self._is_column:
            return None
        tables = {column.table for column in self.prop.columns if hasattr(column, "table")}
        if tables & set(base.tables):
            return None
        return str(mapper.base_mapper.class_.__name__)

    def _is_generated(self) -> bool:
        """Say whether the database fills the column, so that a flush expires it."""
        columns = [c for c in self.prop.columns if hasattr(c, "server_onupdate")]
        return any(map(_filled_by_database, columns))


def _filled_by_database(column: Any) -> bool:
    if column.server_onupdate is not None or column.server_default is not None:
        return True
    return any(
        default is not None and (default.is_clause_element or default.is_sequence)
        for default in (column.onupdate, column.default)
    )


def _is_deferred_by_option(state: InstanceState[Any], key: str) -> bool:
    return key not in state.expired_attributes and key not in state.dict and not state.expired
