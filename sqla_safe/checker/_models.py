"""The mapped classes: their columns and relationships, and how these are loaded."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from sqla_safe.checker import _ir as ir
from sqla_safe.checker._index import Class, Module, dotted, last_name
from sqla_safe.checker._names import last
from sqla_safe.checker._values import ClassRef, External

if TYPE_CHECKING:
    from sqla_safe.checker._index import Function, Written
    from sqla_safe.checker._ir import Expr
    from sqla_safe.checker._names import Names

Words: TypeAlias = "dict[str | None, Expr]"
"""The keywords of a call; None stands for `**settings`."""

_EAGER: Final = frozenset(("selectin", "joined", "subquery", "immediate", "select_in"))
_NEVER: Final = frozenset(("dynamic", "write_only", "noload", None))
_BASES: Final = frozenset(
    ("DeclarativeBase", "DeclarativeBaseNoMeta", "SQLModel", "MappedAsDataclass", "AsyncAttrs")
)
_COLUMNS: Final = frozenset(
    ("Column", "mapped_column", "column_property", "composite", "synonym", "deferred", "Field")
)
RELATIONS: Final = frozenset(("relationship", "Relationship", "relation", "backref"))
_MANY: Final = frozenset(
    ("list", "List", "set", "Set", "Sequence", "Collection", "dict", "Dict", "WriteOnlyMapped")
)
_MODEL_MODULES: Final = re.compile(r"(^|\.)(models?|entities|orm|tables)(\.|$)")
_NO_MODEL: Final = re.compile(
    r"(Create|Update|Read|In|Out|Schema|Request|Response|Enum|Status|Type|State|Action|Params|Base"
    r"|Data|Config|Mixin|Error|DTO|Public|Filter|Kind|Level|Role|Mode|Pagination|Register)$|^[a-z_]|^[A-Z_]+$"
    r"|\w(Service|Repository|Repo|Factory|Provider|UseCase|Interactor|Handler)$"
)


@dataclass(frozen=True, slots=True)
class Attribute:
    """A mapped attribute."""

    name: str
    kind: Literal["column", "relation", "other"]
    is_eager: bool = True
    """Whether it comes with the entity unless a statement says otherwise."""
    is_many: bool = False
    points_up: bool = False
    """Whether it is many-to-one: then a target in the session needs no SQL."""
    target: str = ""
    is_deferred: bool = False
    group: str = ""
    """The group of deferred columns that it is loaded with."""
    on_update: bool = False
    is_key: bool = False
    back: str = ""


class Models:
    """Reads classes, and remembers what it has read."""

    def __init__(self, names: Names) -> None:
        """Take the resolver."""
        self._names = names
        self._models: dict[Class, bool] = {}
        self._filling: dict[Class, bool] = {}
        self._attributes: dict[Class, dict[str, Attribute]] = {}
        self._by_name: dict[str, list[Class]] = {}
        self._named: dict[tuple[str, Module | None], Class | None] = {}
        self._backrefs: dict[str, list[tuple[Class, str, Expr]]] | None = None

    def note(self, cls: Class) -> None:
        """Make a class known by its name, so that `relationship("User")` finds it."""
        self._by_name.setdefault(cls.name, []).append(cls)
        self._named.clear()

    def is_model(self, cls: Class | str | None) -> bool:
        """Return whether a class of the project is mapped (or a base or mixin of mapped ones)."""
        if not isinstance(cls, Class):
            return False
        if cls not in self._models:
            self._models[cls] = self._looks_mapped(cls)
        return self._models[cls]

    def _looks_mapped(self, cls: Class) -> bool:
        order = self._names.mro(cls)
        if "SQLModel" in [last(each) for each in order if isinstance(each, str)]:
            tables = [each for each in order if isinstance(each, Class)]
            return any("table" in each.keywords for each in tables)
        for each in order:
            if isinstance(each, str):
                if last(each) in _BASES or "declarative_base" in each or each.endswith(".Model"):
                    return True
            elif "__tablename__" in each.names or "__table__" in each.names:
                return True
        return any(name == "mapped" for name in map(last_name, cls.decorators))

    def fills(self, cls: Class) -> bool:
        """Return whether making an entity may set more than what it is given.

        Dataclasses have defaults, and who knows what a constructor of one's own does.
        """
        if cls not in self._filling:
            self._filling[cls] = self._seems_to_fill(cls)
        return self._filling[cls]

    def _seems_to_fill(self, cls: Class) -> bool:
        order = self._names.mro(cls)
        owners = [each for each in order if isinstance(each, Class)]
        words = [last(each) for each in order if isinstance(each, str)]
        words += [last_name(written) for each in owners for written in each.decorators]
        is_dataclass = any("dataclass" in word.lower() for word in words)
        has_own = any("__init__" in each.methods for each in owners)
        return is_dataclass or has_own or not self.is_complete(cls)

    def called(self, name: str) -> list[Class]:
        """Return every class of a name, mapped or not."""
        return self._by_name.get(last(name), [])

    def named(self, name: str, near: Module | None = None) -> Class | None:
        """Return the mapped class of a name, the nearest one when there are several."""
        key = (name, near)
        if key not in self._named:
            self._named[key] = self.nearest(name, near)
        return self._named[key]

    def nearest(self, name: str, near: Module | None) -> Class | None:
        """Look for it."""
        found = [cls for cls in self.called(name) if self.is_model(cls)]
        if len(found) > 1 and near is not None:
            shared = [
                sum(a == b for a, b in zip(c.module.parts, near.parts, strict=False)) for c in found
            ]
            return found[shared.index(max(shared))]
        return found[0] if found else None

    def is_complete(self, cls: Class) -> bool:
        """Return whether every base of a class is part of the project or known to map nothing."""
        known = (*_BASES, "object", "Generic", "ABC", "Protocol", "Base", "TypedDict", "Model")
        bases = [last(each) for each in self._names.mro(cls) if isinstance(each, str)]
        return all(base in known or base.endswith("()") for base in bases)

    def attributes(self, cls: Class) -> dict[str, Attribute]:
        """Return the mapped attributes of a class by name."""
        if cls not in self._attributes:
            found: dict[str, Attribute] = {}
            owners = [each for each in self._names.mro(cls) if isinstance(each, Class)]
            for each in reversed(owners):
                found.update(self._referring(each))
                found.update(self._own(each))
            if any(map(_fetches_defaults, owners)):
                found = {name: replace(each, on_update=False) for name, each in found.items()}
            self._attributes[cls] = found
        return self._attributes[cls]

    def attribute(self, cls: Class | str | None, name: str) -> Attribute | None:
        """Return one mapped attribute."""
        return self.attributes(cls).get(name) if isinstance(cls, Class) else None

    def keys(self, cls: Class | str | None) -> frozenset[str]:
        """Return the names of the primary key."""
        if not isinstance(cls, Class):
            return frozenset(("id",))
        return frozenset([name for name, each in self.attributes(cls).items() if each.is_key])

    def target(self, cls: Class | str | None, attribute: Attribute) -> Class | str | None:
        """Return the class that a relationship leads to."""
        near = cls.module if isinstance(cls, Class) else None
        return self.named(attribute.target, near) or (attribute.target or None)

    @property
    def backrefs(self) -> dict[str, list[tuple[Class, str, Expr]]]:
        """The relationships written with `backref`, by the class that these lead to."""
        if self._backrefs is None:
            self._backrefs = {}
            for cls in [cls for classes in self._by_name.values() for cls in classes]:
                for name, written in cls.names.items():
                    call = written.values[-1] if written.values else None
                    if call is not None and call[0] == ir.CALL and _backref(call) is not None:
                        target = _target(call, written.annotation)
                        self._backrefs.setdefault(target, []).append((cls, name, call))
        return self._backrefs

    @property
    def referring(self) -> list[str]:
        """What classes get from other files, that these need not even import."""
        classes = [cls for target in self.backrefs for cls in self.called(target)]
        return sorted(f"{cls.module.path} {cls.name} {self._referring(cls)}" for cls in classes)

    def _referring(self, cls: Class) -> dict[str, Attribute]:
        """Return the attributes that other classes give to one by their `backref`."""
        found: dict[str, Attribute] = {}
        for owner, name, call in self.backrefs.get(cls.name, ()):
            if self.is_model(owner) and self.named(cls.name, owner.module) is cls:
                ours = self._relation(owner, name, call, owner.names[name].annotation)
                attribute = _backwards(ours, owner.name, call)
                if attribute is not None:
                    found[attribute.name] = attribute
        return found

    def _own(self, cls: Class) -> dict[str, Attribute]:
        found: dict[str, Attribute] = {}
        for name, written in cls.names.items():
            attribute = self._read(cls, name, written)
            if attribute is not None:
                found[name] = attribute
        for name, method in cls.methods.items():
            if "declared_attr" in [dotted(each).partition(".")[0] for each in method.decorators]:
                found.update(self._declared(cls, name, method))
        return found

    def _declared(self, cls: Class, name: str, method: Function) -> dict[str, Attribute]:
        for node in method.body:
            if node[0] == ir.RETURN and node[1] is not None and node[1][0] == ir.CALL:
                attribute = self._called(cls, name, node[1], method.returns)
                return {name: attribute} if attribute is not None else {}
        return {}

    def _read(self, cls: Class, name: str, written: Written) -> Attribute | None:
        if name.startswith("__"):
            return None
        value = written.values[-1] if written.values else None
        if value is not None and value[0] == ir.CALL:
            return self._called(cls, name, value, written.annotation)
        if last_name(written.annotation) in ("Mapped", "MappedColumn"):
            return Attribute(name, "column")
        is_field = written.annotation is not None and last_name(written.annotation) != "ClassVar"
        is_sqlmodel = any(
            "SQLModel" in each for each in self._names.mro(cls) if isinstance(each, str)
        )
        return Attribute(name, "column") if is_field and is_sqlmodel else None

    def _called(self, cls: Class, name: str, call: Expr, note: Expr) -> Attribute | None:
        assert call is not None
        called = last_name(call[1])
        if called in RELATIONS:
            return self._relation(cls, name, call, note)
        if called in _COLUMNS or last_name(note) in ("Mapped", "MappedColumn"):
            keywords = dict(call[3])
            return Attribute(
                name,
                "column",
                is_deferred=called == "deferred" or _is_true(keywords.get("deferred")),
                group=_text(keywords.get("deferred_group")) or _text(keywords.get("group")),
                on_update="server_onupdate" in keywords or _is_sql(keywords.get("onupdate")),
                is_key=_is_true(keywords.get("primary_key")),
            )
        return Attribute(name, "other") if called in ("association_proxy", "hybrid") else None

    def _relation(self, cls: Class, name: str, call: Expr, note: Expr) -> Attribute:
        assert call is not None
        keywords: Words = dict(call[3])
        sa = keywords.get("sa_relationship_kwargs")
        if sa is not None and sa[0] == ir.DICT:
            pairs = zip(sa[1], sa[2], strict=True)
            keywords.update(
                {str(key[1]): value for key, value in pairs if key and key[0] == ir.CONST}
            )
        lazy = keywords.get("lazy")
        strategy = lazy[1] if lazy is not None and lazy[0] == ir.CONST else "select"
        is_told = None not in keywords and (sa is None or sa[0] == ir.DICT)
        is_known = is_told if lazy is None else lazy[0] == ir.CONST
        is_many = _says_many(note) or last_name(note) in ("DynamicMapped", "WriteOnlyMapped")
        is_odd = strategy in _NEVER or last_name(note) in ("DynamicMapped", "WriteOnlyMapped")
        if is_odd or not is_known:
            return Attribute(name, "other")
        target = _target(call, note)
        points_up = not is_many and self._points_up(cls, name, keywords, target)
        uselist = keywords.get("uselist") == (ir.CONST, False)
        is_many = is_many or (note is None and not points_up and not uselist)
        back = _text(keywords.get("back_populates")) or _text(_backref(call))
        is_eager = strategy is False or strategy in _EAGER
        return Attribute(name, "relation", is_eager, is_many, points_up, target, back=back)

    def _points_up(
        self, cls: Class, name: str, keywords: dict[str | None, Expr], target: str
    ) -> bool:
        keys_named = _only(keywords.get("foreign_keys"))
        if dotted(keys_named):
            return dotted(keys_named).rpartition(".")[2] in cls.names
        wanted = (f"{name}_id", f"{name}_uuid", f"{target.lower()}_id", f"id_{name}")
        owners = [each for each in self._names.mro(cls) if isinstance(each, Class)]
        keys = {
            column: key
            for each in owners
            for column, written in each.names.items()
            if (key := _foreign_key(written)) is not None
        }
        table = self._table(cls, target)
        tables = [key.split(".")[-2] for key in keys.values() if "." in key]
        return any(column in wanted for column in keys) or (bool(table) and table in tables)

    def _table(self, cls: Class, target: str) -> str:
        found = self.named(target, cls.module)
        written = found.names.get("__tablename__") if found is not None else None
        return _text(written.values[-1]) if written is not None and written.values else ""


def _only(expr: Expr) -> Expr:
    """Return the one element of a list: `foreign_keys=[user_id]`."""
    if expr is None or expr[0] != ir.TUPLE or len(expr[1]) != 1:
        return expr
    element: Expr = expr[1][0]
    return element


def _backref(call: Expr) -> Expr:
    """Return the name in `backref="photos"` or `backref=backref("photos", ...)`."""
    given = dict(call[3]).get("backref") if call is not None else None
    if given is not None and given[0] == ir.CALL:
        return given[2][0] if given[2] else None
    return given


def _backwards(ours: Attribute, owner: str, call: Expr) -> Attribute | None:
    """Return the other side of a relationship that is written with `backref`."""
    given = dict(call[3]).get("backref") if call is not None else None
    words = dict(given[3]) if given is not None and given[0] == ir.CALL else {}
    lazy = words.get("lazy")
    strategy = lazy[1] if lazy is not None and lazy[0] == ir.CONST else "select"
    name = _text(_backref(call))
    if not name or ours.kind != "relation" or strategy in _NEVER:
        return None
    is_eager = strategy is False or strategy in _EAGER
    is_mutual = call is not None and "secondary" in dict(call[3])
    is_many = (ours.points_up or is_mutual) and words.get("uselist") != (ir.CONST, False)
    points_up = ours.is_many and not is_mutual
    return Attribute(name, "relation", is_eager, is_many, points_up, owner, back=ours.name)


def _fetches_defaults(cls: Class) -> bool:
    """Return whether a class asks for what the database fills with each flush."""
    written = cls.names.get("__mapper_args__")
    value = written.values[-1] if written is not None and written.values else None
    if value is None or value[0] != ir.DICT:
        return False
    wanted = ((ir.CONST, "eager_defaults"), (ir.CONST, True))
    return wanted in zip(value[1], value[2], strict=True)


def _foreign_key(written: Written) -> str | None:
    for call in written.values:
        if call is None or call[0] != ir.CALL:
            continue
        for word, part in (*[(None, part) for part in call[2]], *call[3]):
            if word == "foreign_key":
                return _text(part)
            if part is not None and last_name(part) == "ForeignKey":
                return _text(part[2][0]) if part[0] == ir.CALL and part[2] else ""
    return None


def _says_many(note: Expr) -> bool:
    while note is not None and note[0] == ir.ITEM:
        if last_name(note[1]) in _MANY:
            return True
        note = note[2]
    return False


def _target(call: Expr, note: Expr) -> str:
    assert call is not None
    first = call[2][0] if call[2] else dict(call[3]).get("argument")
    if first is not None:
        text = _text(first) or last_name(first)
        if not text and first[0] == ir.LAMBDA:
            text = last_name(first[2])
        if text:
            return last(text)
    while note is not None and note[0] == ir.ITEM:
        note = note[2]
    if note is not None and note[0] == ir.PARTS:
        note = next((part for part in note[1] if part != (ir.CONST, None)), None)
        return _target((0, None, (note,), ()), None) if note is not None else ""
    return last(_text(note) or last_name(note))


def _text(expr: Expr) -> str:
    is_text = expr is not None and expr[0] == ir.CONST and isinstance(expr[1], str)
    return str(expr[1]) if is_text and expr is not None else ""


def _is_true(expr: Expr) -> bool:
    return expr == (ir.CONST, True)


def _is_sql(expr: Expr) -> bool:
    """Return whether a default is made by the database: `func.now()`, `text("...")`."""
    if expr is None:
        return False
    name = dotted(expr[1]) if expr[0] == ir.CALL else ""
    return name.startswith(("func.", "sa.func.", "sqlalchemy.func.")) or last(name) == "text"


def class_of(value: object) -> Class | str | None:
    """Return the class that a value is."""
    if isinstance(value, ClassRef):
        return value.of
    return value.name if isinstance(value, External) else None


def is_model_outside(name: str) -> bool:
    """Return whether a class outside of what was read lives where models live."""
    stem = name.rpartition(".")[0]
    return bool(_MODEL_MODULES.search(stem)) and not _NO_MODEL.search(last(name))
