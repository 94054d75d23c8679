"""What a view is made of: statements with their columns, and what is built from a row of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.orm import Mapper, RelationshipProperty

    from sqla_safe.views._links import Link
    from sqla_safe.views._statements import Way
    from sqla_safe.views._targets import Target

Route = tuple[str, ...]
"""The names of the to-one relationships that lead from a statement's entity to another one."""


class Column(NamedTuple):
    """An expression that a statement selects."""

    route: Route
    build: Callable[[Any], Any]
    """Makes the expression from the entity (a class or its alias) at the end of the route."""
    sample: Any
    """The expression made from the class itself."""


class Joined(NamedTuple):
    """A to-one relationship that is joined to its statement."""

    relation: RelationshipProperty[Any]
    is_aliased: bool


@dataclass
class Memo:
    """The objects of one class that were made, by primary key: nothing is made twice."""

    number: int
    uses: int = 0
    repeats: bool = False
    statements: set[int] = field(default_factory=set[int])
    """The statements whose rows have them."""

    @property
    def is_needed(self) -> bool:
        """Whether a row can be met twice."""
        return self.repeats or self.uses > 1

    @property
    def is_shared(self) -> bool:
        """Whether rows of several statements are met, of which some may be converted already."""
        return len(self.statements) > 1


@dataclass
class Value:
    """The value of a column."""

    column: int

    @property
    def columns(self) -> list[int]:
        """The one column."""
        return [self.column]


@dataclass
class Composite:
    """A composite value; None when all its columns are."""

    build: Callable[..., Any]
    columns: list[int]


class Missing(NamedTuple):
    """What is said of a field whose row is absent, though its type does not allow None."""

    where: str
    problem: str = "has no row that this session can see, and its type does not allow None"
    instead: str = "allow None in its type (... | None)"


@dataclass
class Guarded:
    """A value that is None where its row is absent, whatever its columns make of NULL."""

    key: int
    """A column that is None where there is no row."""
    shape: Value | Composite
    missing: Missing | None
    """The error that is raised in place of None."""


@dataclass
class Constant:
    """The same for every row."""

    kind: str


@dataclass
class Made:
    """An object of a view's class."""

    target: Target
    where: str
    key: list[int]
    fields: dict[str, Shape]
    memo: Memo | None
    absence: str
    """``never``, ``none`` (it becomes None) or ``error``."""


@dataclass
class Held:
    """What a further statement brought, found by key."""

    level: int
    """Which of the statement's children."""
    columns: list[int]
    kind: str
    """``list``, ``tuple``, ``set``, ``frozenset``, ``dict``, or ``one`` for a to-one."""
    is_own: bool
    """Whether nobody else has the same key, and so the same collection."""
    missing: Missing | None = None
    """The error that is raised where nothing was found for a to-one, in place of None."""
    absent: str = "none"
    """What stands there otherwise: None, or an empty collection."""


@dataclass
class Choice:
    """One of several, by the value of the discriminator."""

    column: int
    branches: dict[Any, Held | Made]
    where: str
    key: int | None
    """The column that is None where there is no row at all; None where there always is one."""
    absence: str


Shape = Value | Composite | Guarded | Constant | Made | Held | Choice


@dataclass(eq=False)
class Level:
    """One statement: where its rows come from, what is selected, and what is built from a row."""

    mapper: Mapper[Any]
    link: Link | None = None
    columns: list[Column] = field(default_factory=list[Column])
    joins: dict[Route, Joined] = field(default_factory=dict[Route, Joined])
    inherited: dict[Route, tuple[Mapper[Any], Mapper[Any]]] = field(
        default_factory=dict["Route", "tuple[Mapper[Any], Mapper[Any]]"]
    )
    """The subclasses whose own tables are joined, each with the base that it is joined to."""
    children: list[Level] = field(default_factory=list["Level"])
    shape: Any = None
    kind: str = "root"
    is_flat: bool = False
    """Whether a row gives several elements of its collection, in a collection of their own."""
    key_by: int | None = None
    """The column whose value is the key in a dict."""
    identity: list[int] = field(default_factory=list[int])
    """The columns of the rows' own key, where a row can come several times for a parent."""
    parent_columns: list[int] = field(default_factory=list[int])
    """The parents' columns that hold this statement's key."""
    only_for: tuple[int, frozenset[Any]] | None = None
    """The parents' discriminator and its values that these rows are wanted for."""
    computed: dict[str, int] = field(default_factory=dict[str, int])
    """The places of what an Expr computes, by field."""
    foreign: dict[str, int] = field(default_factory=dict[str, int])
    """Those of them that read more than their own class."""
    indexes: dict[tuple[Route, str], int] = field(default_factory=dict[tuple[Route, str], int])
    title: str = ""
    latest: Any = None
    """The last dialect, weakly, and its code: quicker to find than among all that it has."""
    cooked: Any = None
    """The generated code for rows whose values SQLAlchemy has converted already."""
    statements: dict[tuple[str, Way], tuple[Any, Any]] = field(
        default_factory=dict["tuple[str, Way]", "tuple[Any, Any]"]
    )
    """What is executed, by the name of the dialect and the way."""

    def all(self) -> Iterator[Level]:
        """Give this statement, and all below it."""
        yield self
        for child in self.children:
            yield from child.all()

    @property
    def key_columns(self) -> range:
        """The places of the key in this statement's own rows: behind the columns."""
        size = len(self.link.keys) if self.link is not None else 0
        return range(len(self.columns), len(self.columns) + size)
