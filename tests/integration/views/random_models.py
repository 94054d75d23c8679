"""Mapped classes, rows and views that Hypothesis makes up.

A `World` has up to three families of classes, each alone, in a single table or in joined tables;
columns of every type, some under another name than their attribute's; keys of three types; and
links between any two classes, a class and itself among them. `views` then makes up a tree of
classes that show some of it, and `shown` reads the same of an entity or of a view.
"""

from __future__ import annotations

import datetime as dt
import itertools
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, make_dataclass
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Literal, Union

from hypothesis import strategies as st
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Enum,
    ForeignKey,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    String,
    Table,
    Time,
    Uuid,
)
from sqlalchemy.orm import DeclarativeBase, Session, foreign, mapped_column, relationship, remote

from sqla_safe import Path
from tests.integration.views.values import (
    KINDS,
    VALUES,
    Cents,
    InCents,
    Level,
    Rank,
    array_of,
)

BY_VALUE = Enum(
    Level, values_callable=lambda kind: [one.value for one in kind], name="level_by_value"
)
IN_LEVELS = Enum(Level, name="level_in_array")
TYPES: dict[str, tuple[Any, Any]] = {
    "text": (String(60), str),
    "big": (BigInteger(), int),
    "flag": (Boolean(), bool),
    "money": (Numeric(18, 4), Decimal),
    "number": (Double(), float),
    "by_name": (Enum(Level), Level),
    "by_value": (BY_VALUE, Level),
    "rank": (Enum(Rank, native_enum=False), Rank),
    "data": (JSON(), Any),
    "raw": (LargeBinary(), bytes),
    "day": (Date(), dt.date),
    "hour": (Time(), dt.time),
    "naive": (DateTime(), dt.datetime),
    "aware": (DateTime(timezone=True), dt.datetime),
    "span": (Interval(), dt.timedelta),
    "token": (Uuid(), uuid.UUID),
    "token_text": (Uuid(as_uuid=False), str),
    "cents": (InCents(), Cents),
    "numbers": (array_of(BigInteger()), list[int | None]),
    "prices": (array_of(Numeric(10, 2)), list[Decimal | None]),
    "levels": (array_of(IN_LEVELS), list[Level | None]),
}
KEYS: dict[str, tuple[Any, Any, Any]] = {
    "int": (Integer(), int, lambda number: number),
    "text": (String(40), str, lambda number: f"key '{number}"),
    "uuid": (Uuid(), uuid.UUID, lambda number: uuid.UUID(int=number)),
}
EAGER = ("frozen dataclass", "dataclass", "msgspec", "attrs")
"""The kinds that a pydantic model above them takes as they are, also in a union."""


# --- classes -----------------------------------------------------------------


@dataclass(frozen=True)
class Field:
    """A column: its attribute, the name of its type, and whether it may be NULL."""

    name: str
    kind: str
    nullable: bool

    @property
    def hint(self) -> Any:
        """What a class that shows it says."""
        own = TYPES[self.kind][1]
        return own | None if self.nullable else own


@dataclass(repr=False)
class Kind:
    """A mapped class: its place in a family, its columns, and the class itself once it is made."""

    name: str
    family: int
    parent: Kind | None
    inheritance: str
    fields: list[Field]
    links: list[Link] = field(default_factory=list)
    made: Any = None

    def __repr__(self) -> str:
        """Return its name, where it stands and its columns, `?` for those that may be NULL."""
        above = f"({self.parent.name}, {self.inheritance})" if self.parent else ""
        own = ", ".join(one.name + "?" * one.nullable for one in self.fields)
        return f"{self.name}{above}[{own}]"

    def all_fields(self) -> list[Field]:
        """Return its columns, those of its parent first."""
        return [*(self.parent.fields if self.parent else ()), *self.fields]

    def all_links(self) -> list[Link]:
        """Return its relationships, those of its parent first."""
        return [*(self.parent.links if self.parent else ()), *self.links]

    @property
    def has_table(self) -> bool:
        """Whether it has a table of its own."""
        return self.parent is None or self.inheritance == "joined"


@dataclass(frozen=True)
class Link:
    """One side of a relationship: what leads from one class to another."""

    name: str
    target: Kind
    many: bool
    nullable: bool = True
    as_set: bool = False


@dataclass(frozen=True, repr=False)
class Tie:
    """A foreign key, or a secondary table, between two classes, with a relationship on each."""

    number: int
    secondary: bool
    child: Kind
    parent: Kind
    nullable: bool
    unique: bool
    descending: bool
    as_set: bool

    def __repr__(self) -> str:
        """Return its number, what it joins, and how."""
        how = [
            name for name in ("secondary", "nullable", "unique", "as_set") if getattr(self, name)
        ]
        return f"{self.number}: {self.child.name} -> {self.parent.name} ({', '.join(how)})"

    @property
    def key(self) -> str:
        """The attribute of the foreign key."""
        return f"key_{self.number}"


@dataclass
class World:
    """Everything that is mapped, and the type of key of each family."""

    base: Any = field(repr=False)
    kinds: list[Kind]
    ties: list[Tie]
    keys: list[str]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Give mapped classes."""
    kinds: list[Kind] = []
    families = draw(st.sampled_from([2, 3, 1]))
    for family in range(families):
        kinds += draw(kinds_of(family))
    ties = [draw(tied(number, kinds)) for number in range(draw(st.integers(2, 5)))]
    keys = [draw(st.sampled_from(list(KEYS))) for _ in range(families)]
    world = World(type("Base", (DeclarativeBase,), {}), kinds, ties, keys)
    make(world)
    return world


@st.composite
def kinds_of(draw: st.DrawFn, family: int) -> list[Kind]:
    """Give a class, and perhaps some that inherit from it."""
    inheritance = draw(st.sampled_from(["none", "single", "joined"]))
    base = Kind(f"K{family}", family, None, inheritance, draw(fields(f"k{family}")))
    if inheritance == "none":
        return [base]
    return [base, *(draw(heir(base, number)) for number in range(draw(st.integers(1, 2))))]


@st.composite
def heir(draw: st.DrawFn, base: Kind, number: int) -> Kind:
    """Give a class that inherits; what shares a table with others may be NULL."""
    name = f"{base.name}{'ab'[number]}"
    own = draw(fields(name.lower(), nullable=True if base.inheritance == "single" else None))
    return Kind(name, base.family, base, base.inheritance, own)


@st.composite
def fields(draw: st.DrawFn, prefix: str, *, nullable: bool | None = None) -> list[Field]:
    """Give columns."""
    kinds = draw(st.lists(st.sampled_from(list(TYPES)), min_size=1, max_size=4, unique=True))
    free = st.booleans() if nullable is None else st.just(nullable)
    return [Field(f"{prefix}_{kind}", kind, draw(free)) for kind in kinds]


@st.composite
def tied(draw: st.DrawFn, number: int, kinds: list[Kind]) -> Tie:
    """Give a tie; a key that may not be NULL leads to a family that is stored before."""
    child, parent = draw(st.sampled_from(kinds)), draw(st.sampled_from(kinds))
    secondary = draw(st.sampled_from([False, False, True]))
    unique = not secondary and draw(st.sampled_from([False, False, True]))
    shares = child.inheritance == "single" and child.parent is not None
    free = secondary or unique or shares or parent.family >= child.family
    nullable = free or draw(st.booleans())
    as_set = not unique and draw(st.sampled_from([False, False, True]))
    descending = draw(st.booleans())
    return Tie(number, secondary, child, parent, nullable, unique, descending, as_set)


def make(world: World) -> None:
    """Map the classes, then their relationships."""
    for kind in world.kinds:
        kind.made = mapped(world, kind)
    for tie in world.ties:
        (relate_by_table if tie.secondary else relate)(world, tie)
    world.base.registry.configure()


def mapped(world: World, kind: Kind) -> Any:
    """Map a class."""
    sql_type = KEYS[world.keys[kind.family]][0]
    body: dict[str, Any] = {
        own.name: mapped_column(f"{own.name} x", TYPES[own.kind][0], nullable=own.nullable)
        if len(own.name) % 2
        else mapped_column(TYPES[own.kind][0], nullable=own.nullable)
        for own in kind.fields
    }
    arguments: dict[str, Any] = {}
    if kind.inheritance != "none":
        arguments["polymorphic_identity"] = kind.name
    if kind.parent is None:
        body["id"] = mapped_column(sql_type, primary_key=True, autoincrement=False)
    if kind.parent is None and kind.inheritance != "none":
        body["kind"] = mapped_column(String(10), nullable=False)
        arguments["polymorphic_on"] = "kind"
    if kind.parent is not None and kind.has_table:
        body["id"] = mapped_column(ForeignKey(kind.parent.made.id), primary_key=True)
        arguments["inherit_condition"] = body["id"].column == kind.parent.made.__table__.c.id
    if kind.has_table:
        body["__tablename__"] = kind.name.lower()
    for tie in world.ties:
        if tie.child is kind and not tie.secondary:
            body[tie.key] = foreign_key(tie, world)
    body["__mapper_args__"] = arguments
    return type(kind.name, (kind.parent.made if kind.parent else world.base,), body)


def foreign_key(tie: Tie, world: World) -> Any:
    """Return the column of a tie; the other class may be mapped later, or be this one."""
    parent = tie.parent
    table = parent if parent.has_table or parent.parent is None else parent.parent
    sql_type = KEYS[world.keys[parent.family]][0]
    return mapped_column(
        sql_type,
        ForeignKey(f"{table.name.lower()}.id", name=f"fk_{tie.number}", use_alter=True),
        nullable=tie.nullable,
        unique=tie.unique or None,
    )


def order_of(tie: Tie, kind: Kind) -> Any:
    """Return by what a collection of this class is ordered."""
    return kind.made.id.desc() if tie.descending else kind.made.id


def relate(world: World, tie: Tie) -> None:
    """Put the relationships of a foreign key on both classes."""
    child, parent = tie.child, tie.parent
    key, target = getattr(child.made, tie.key), parent.made.id
    up, down = f"up_{tie.number}", f"down_{tie.number}"
    many = not tie.unique
    collection: dict[str, Any] = {"uselist": False}
    if many:
        collection = {"order_by": order_of(tie, child)}
        collection |= {"collection_class": set} if tie.as_set else {}
    same = child.family == parent.family
    upward = (foreign(key) == remote(target)) if same else None
    downward = (remote(foreign(key)) == target) if same else None
    setattr(
        child.made,
        up,
        relationship(parent.made, foreign_keys=key, primaryjoin=upward, back_populates=down),
    )
    setattr(
        parent.made,
        down,
        relationship(
            child.made, foreign_keys=key, primaryjoin=downward, back_populates=up, **collection
        ),
    )
    child.links.append(Link(up, parent, many=False, nullable=tie.nullable))
    parent.links.append(Link(down, child, many=many, as_set=many and tie.as_set))


def relate_by_table(world: World, tie: Tie) -> None:
    """Put the relationships of a secondary table on both classes."""
    left, right = tie.child, tie.parent
    name = f"pairs_{tie.number}"
    table = Table(
        name,
        world.base.metadata,
        Column("left", ForeignKey(left.made.__mapper__.primary_key[0]), primary_key=True),
        Column("right", ForeignKey(right.made.__mapper__.primary_key[0]), primary_key=True),
    )
    there, back = f"many_{tie.number}", f"back_{tie.number}"
    first, second = table.c.left == left.made.id, table.c.right == right.made.id
    as_set = {"collection_class": set} if tie.as_set else {}
    for own, other, attribute, inverse, joins in (
        (left, right, there, back, (first, second)),
        (right, left, back, there, (second, first)),
    ):
        made = relationship(
            other.made,
            secondary=table,
            primaryjoin=joins[0],
            secondaryjoin=joins[1],
            order_by=order_of(tie, other),
            back_populates=inverse,
            **as_set,
        )
        setattr(own.made, attribute, made)
        own.links.append(Link(attribute, other, many=True, as_set=tie.as_set))


# --- rows --------------------------------------------------------------------


@dataclass(repr=False)
class Rows:
    """What is stored: the values of each object, in the order in which they can be.

    Attributes:
        objects: Their classes and values.
        later: Keys that are set when all are stored: class, key, attribute, value.
        pairs: Rows of secondary tables.
        keys: The keys of the objects of each class.
    """

    objects: list[tuple[Kind, dict[str, Any]]] = field(default_factory=list)
    later: list[tuple[Kind, Any, str, Any]] = field(default_factory=list)
    pairs: list[tuple[str, Any, Any]] = field(default_factory=list)
    keys: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))

    def __repr__(self) -> str:
        """Return what fits on a screen."""
        objects = [(kind.name, values) for kind, values in self.objects]
        later = [(kind.name, *rest) for kind, *rest in self.later]
        return f"{objects}\n{later}\n{self.pairs}"[:9_000]


@st.composite
def rows(draw: st.DrawFn, world: World) -> Rows:
    """Give rows for a world; links lead to what there is."""
    stored = Rows()
    for kind in world.kinds:
        for _ in range(draw(st.sampled_from([2, 3, 1, 0, 4]))):
            draw(stored_object(world, kind, stored))
    for tie in world.ties:
        if tie.secondary:
            stored.pairs += draw(pairs_of(tie, world, stored))
        elif tie.nullable:
            stored.later += draw(keys_of(tie, world, stored))
    return stored


@st.composite
def stored_object(draw: st.DrawFn, world: World, kind: Kind, stored: Rows) -> None:
    """Add an object, unless a key that it must have has nothing to lead to."""
    values = {
        own.name: draw(st.none() | VALUES[own.kind] if own.nullable else VALUES[own.kind])
        for own in kind.all_fields()
    }
    lineage = {id(kind), id(kind.parent)}
    for tie in world.ties:
        if id(tie.child) in lineage and not tie.nullable and not tie.secondary:
            found = instances(tie.parent, world, stored)
            if not found:
                return
            values[tie.key] = draw(st.sampled_from(found))
    key = KEYS[world.keys[kind.family]][2](len(stored.objects) + 1)
    stored.keys[kind.name].append(key)
    stored.objects.append((kind, values | {"id": key}))


def instances(kind: Kind, world: World, stored: Rows) -> list[Any]:
    """Return the keys of a class and of those that inherit from it."""
    own = [one.name for one in world.kinds if one is kind or one.parent is kind]
    return [key for name in own for key in stored.keys[name]]


@st.composite
def pairs_of(draw: st.DrawFn, tie: Tie, world: World, stored: Rows) -> list[tuple[str, Any, Any]]:
    """Give rows of a secondary table."""
    left, right = instances(tie.child, world, stored), instances(tie.parent, world, stored)
    every = list(itertools.product(left, right))
    least = min(3, len(every))
    chosen = (
        draw(st.lists(st.sampled_from(every), unique=True, min_size=least, max_size=7))
        if every
        else []
    )
    return [(f"pairs_{tie.number}", *pair) for pair in chosen]


@st.composite
def keys_of(
    draw: st.DrawFn, tie: Tie, world: World, stored: Rows
) -> list[tuple[Kind, Any, str, Any]]:
    """Give keys to what has none yet, each only once where they are unique."""
    free = instances(tie.parent, world, stored)
    given: list[tuple[Kind, Any, str, Any]] = []
    for key in instances(tie.child, world, stored):
        target = draw(st.sampled_from([*free, None])) if free else None
        if target is None:
            continue
        given.append((tie.child, key, tie.key, target))
        if tie.unique:
            free = [one for one in free if one != target]
    return given


def store(session: Session, world: World, stored: Rows) -> None:
    """Store the rows: first the objects, family by family, then what leads from one to another."""
    for kind, values in stored.objects:
        session.add(kind.made(**values))
        session.flush()
    for kind, key, attribute, value in stored.later:
        setattr(session.get_one(kind.made, key), attribute, value)
    session.flush()
    for name, left, right in stored.pairs:
        table = world.base.metadata.tables[name]
        session.execute(table.insert().values(left=left, right=right))
    session.commit()


# --- views -------------------------------------------------------------------


@dataclass(repr=False)
class View:
    """A class that shows an entity, or classes that show it and those that inherit from it.

    Attributes:
        kind: What it shows.
        into: The class, or a union.
        columns: The names of the columns.
        links: The relationships with what shows the other side.
        paths: Fields that reach through relationships: their name, the links, the column.
        heirs: Of a union, what shows each class.
    """

    kind: Kind
    into: Any
    columns: list[str] = field(default_factory=list)
    links: list[tuple[Link, View]] = field(default_factory=list)
    paths: list[tuple[str, list[Link], str]] = field(default_factory=list)
    heirs: dict[str, View] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Return the fields, those below in parentheses."""
        if self.heirs:
            return " | ".join(map(repr, self.heirs.values()))
        below = [f"{link.name}({view!r})" for link, view in self.links]
        through = [
            ".".join([*(link.name for link in links), column]) for _, links, column in self.paths
        ]
        return f"{self.kind.name}: " + ", ".join([*self.columns, *below, *through])[:9_000]


@st.composite
def views(
    draw: st.DrawFn, world: World, kind: Kind, depth: int = 2, kinds: Sequence[str] = tuple(KINDS)
) -> View:
    """Give what shows a class, and what is below it."""
    heirs = [one for one in world.kinds if one.parent is kind]
    if heirs and draw(st.booleans()):
        return draw(union(world, kind, heirs, depth))
    return draw(single(world, kind, depth, kinds))


@st.composite
def union(draw: st.DrawFn, world: World, kind: Kind, heirs: list[Kind], depth: int) -> View:
    """Give a class for each class of a family."""
    shown = {
        one.name: draw(single(world, one, depth, EAGER, literal=one.name)) for one in [kind, *heirs]
    }
    into = Union[tuple(one.into for one in shown.values())]  # noqa: UP007  (of a tuple)
    return View(kind, into, heirs=shown)


@st.composite
def single(
    draw: st.DrawFn,
    world: World,
    kind: Kind,
    depth: int,
    kinds: Sequence[str],
    *,
    literal: str | None = None,
) -> View:
    """Give one class, of one of these kinds."""
    own = View(kind, None)
    hints: dict[str, Any] = {"id": KEYS[world.keys[kind.family]][1]}
    if literal is not None:
        hints["kind"] = Literal[literal]
    chosen = draw(st.lists(st.sampled_from(kind.all_fields()), unique=True, max_size=4))
    hints |= {one.name: one.hint for one in chosen}
    own.columns = list(hints)
    how = draw(st.sampled_from(kinds))
    links = kind.all_links() if depth else []
    below = EAGER if how == "pydantic" else tuple(KINDS)
    for link in draw(some(links, 2)):
        hints[link.name] = draw(linked(world, own, link, depth=depth - 1, kinds=below))
    for number, link in enumerate(draw(some(links, 2) | st.just([]))):
        hints |= draw(reached(own, link, f"path_{number}"))
    own.into = KINDS[how](hints)
    return own


def some(links: list[Link], most: int) -> st.SearchStrategy[list[Link]]:
    """Give some of these."""
    if not links:
        return st.just([])
    return st.lists(st.sampled_from(links), unique_by=id, min_size=1, max_size=most)


@st.composite
def linked(
    draw: st.DrawFn, world: World, own: View, link: Link, *, depth: int, kinds: Sequence[str]
) -> Any:
    """Show what a relationship leads to, and return the hint of its field."""
    if link.as_set:
        below = draw(single(world, link.target, 0, ["dataclass"]))
        below.into = hashable(world, link.target, below)
    else:
        below = draw(views(world, link.target, depth, kinds))
    own.links.append((link, below))
    if not link.many:
        return below.into | None if link.nullable else below.into
    if link.as_set:
        return draw(st.sampled_from([set, frozenset]))[below.into]
    return draw(st.sampled_from([list[below.into], tuple[below.into, ...], Sequence[below.into]]))


def hashable(world: World, kind: Kind, below: View) -> Any:
    """Return a class that can be in a set, whatever it holds."""
    hints = {own.name: own.hint for own in kind.all_fields() if own.name in below.columns}
    key = {"id": KEYS[world.keys[kind.family]][1]}
    return make_dataclass("S", list((key | hints).items()), frozen=True, eq=False)


@st.composite
def reached(draw: st.DrawFn, own: View, link: Link, name: str) -> dict[str, Any]:
    """Show a column of the other side, or of what is beyond it, and return the field."""
    links = [link]
    while links[-1].target.all_links() and len(links) < FURTHEST and draw(st.booleans()):
        links.append(draw(st.sampled_from(links[-1].target.all_links())))
    columns = links[-1].target.all_fields()
    if not columns:
        return {}
    column = draw(st.sampled_from(columns))
    own.paths.append((name, links, column.name))
    kinds = [own.kind, *(one.target for one in links)]
    names = [*(one.name for one in links), column.name]
    path = Path(*(getattr(kind.made, each) for kind, each in zip(kinds, names, strict=True)))
    ends = [number for number, one in enumerate(links, 1) if one.many]
    alone = links[ends[-1] :] if ends else links
    hint = column.hint | None if any(one.nullable for one in alone) else column.hint
    return {name: Annotated[tuple[hint, ...] if ends else hint, path]}


FURTHEST = 3
"""Relationships in one path."""


# --- what is seen ------------------------------------------------------------


def seen(one: Any, view: View, *, is_entity: bool) -> Any:
    """Return all that a view shows, read from it or from the entity."""
    if one is None:
        return None
    if view.heirs:
        name = type(one).__name__ if is_entity else read(one, "kind")
        return name, seen(one, view.heirs[name], is_entity=is_entity)
    values = [told(read(one, name)) for name in view.columns]
    below = []
    for link, under in view.links:
        look = partial(seen, view=under, is_entity=is_entity)
        below.append(several(read(one, link.name), link, look))
    return values, below, [reaching(one, path, is_entity=is_entity) for path in view.paths]


def reaching(one: Any, path: tuple[str, list[Link], str], *, is_entity: bool) -> Any:
    """Return what a path shows, read from a view's field or through the entity's relationships."""
    name, links, column = path
    is_many = any(link.many for link in links)
    if is_entity:
        ends = leaves(one, links)
        found = [told(None if end is None else read(end, column)) for end in ends]
    else:
        found = [told(value) for value in (read(one, name) if is_many else [read(one, name)])]
    return sorted(found, key=repr) if any(link.as_set for link in links) else found


def leaves(one: Any, links: list[Link]) -> Iterator[Any]:
    """Give what relationships lead to, one after the other, as loops in loops would meet it."""
    if one is None or not links:
        if not any(link.many for link in links):
            yield one
        return
    link, *rest = links
    found = read(one, link.name)
    for each in found if link.many else [found]:
        yield from leaves(each, rest)


def several(found: Any, link: Link, look: Any) -> Any:
    """Look at what a relationship gives: at each of many, in their order unless it is a set."""
    if not link.many:
        return look(found) if found is not None else told(None)
    each = [look(one) for one in found]
    return sorted(each, key=repr) if link.as_set else each


def read(one: Any, name: str) -> Any:
    """Read an attribute, or a key of a dict."""
    return one[name] if isinstance(one, dict) else getattr(one, name)


def told(value: Any) -> tuple[type, str]:
    """Return what can be told of a value."""
    return type(value), repr(value)
