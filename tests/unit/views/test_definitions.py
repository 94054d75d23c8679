"""What does not fit is told when a view is defined, all at once and with the repair."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal, NewType, Protocol, Union

import msgspec
import pydantic
import pytest
from sqlalchemy import func, select
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    Session,
    mapped_column,
)

from sqla_safe import (
    Expr,
    Path,
    ViewDefinitionError,
    ViewSourceError,
    fetch,
    view_plan,
)
from tests.unit.views.models import (
    City,
    Comment,
    Level,
    Point,
    Post,
    User,
)


@dataclass(frozen=True)
class Named:
    name: str


@dataclass
class Unhashable:
    name: str


@dataclass
class Numeric:
    balance: str


@dataclass
class Missing:
    nmae: str


@dataclass
class MissingDefault:
    nickname: str = "?"


@dataclass
class Nullable:
    secret: str
    city_id: int


@dataclass
class NullableToOne:
    city: Named


@dataclass
class OneForMany:
    posts: Named


@dataclass
class ManyForOne:
    city: list[Named]


@dataclass
class SetForList:
    staff: set[Named]


@dataclass
class ListForDict:
    notes: list[Named]


@dataclass
class DictForList:
    staff: dict[str, Named]


@dataclass
class OneTuple:
    staff: tuple[Named]


@dataclass
class HashedMarks:
    marks: set[Unhashable]


@dataclass
class FrozenMarks:
    marks: frozenset[Unhashable]


@dataclass
class Scalars:
    posts: list[str]


@dataclass
class Plain:
    plain: str


@dataclass
class Dynamic:
    visits: list[Named]


@dataclass
class Cyclic:
    posts: list[CyclicPost]


@dataclass
class CyclicPost:
    author: Cyclic


@dataclass
class Unresolved:
    name: Nowhere  # type: ignore[name-defined]  # noqa: F821


@dataclass
class PathOfOther:
    name: Annotated[str, Path(City.name)]


@dataclass
class PathNotRelated:
    name: Annotated[str, Path(User.name, City.name)]


@dataclass
class PathOfText:
    name: Annotated[str, Path("name")]  # type: ignore[arg-type]


@dataclass
class EmptyPath:
    name: Annotated[str, Path()]


@dataclass
class PathNullableOfMany:
    cities: Annotated[list[str], Path(User.staff, User.city, City.name)]


@dataclass
class WrongOfMany:
    texts: Annotated[list[int], Path(User.posts, Post.text)]


@dataclass
class PathNullable:
    city: Annotated[str, Path(User.city, City.name)]


@dataclass
class BadExpr:
    name: Annotated[str, Expr(lambda _user: 5)]


@dataclass
class RaisingExpr:
    name: Annotated[str, Expr(lambda user: user.nothing)]


@dataclass
class CountedPost:
    comments: Annotated[int, Expr(lambda _: func.count(Comment.id))]


@dataclass
class ForeignExpr:
    posts: list[CountedPost]


@dataclass
class RelatedExpr:
    posts: Annotated[int, Expr(lambda user: user.posts)]


@dataclass
class NoSuchPath:
    name: Annotated[str, Path(User.nothing)]  # type: ignore[attr-defined]


@dataclass
class ExprType:
    name: Annotated[str, Expr(lambda user: func.count(user.id))]


@dataclass
class TwoMarks:
    name: Annotated[str, Path(User.name), Expr(lambda user: user.name)]


@dataclass
class EnumAsText:
    level: str


@dataclass
class WrongPoint:
    point: Named


class NumericStruct(msgspec.Struct):
    balance: str


class NumericModel(pydantic.BaseModel):
    balance: str


@dataclass
class UnionOfOne:
    posts: list[Named | Unhashable]


@dataclass
class NotPolymorphic:
    name: Literal[1, 2]


@dataclass
class Growing:
    staff: Annotated[list[Growing], Path(User.staff, depth=7)]
    others: Annotated[list[Growing], Path(User.staff, depth=7)]


@dataclass
class OneForText:
    city: str | None


@dataclass
class Nameless:
    city: None


@dataclass
class DeepNegative:
    name: str
    staff: Annotated[list[DeepNegative], Path(User.staff, depth=-1)]


@dataclass
class DeepHuge:
    name: str
    staff: Annotated[list[DeepHuge], Path(User.staff, depth=201)]


@dataclass
class HybridNullable:
    boss: Annotated[str, Path(User.boss, User.shout)]


@dataclass
class PointNullable:
    where: Annotated[Point, Path(User.boss, User.point)]


PROBLEMS: dict[Any, str] = {
    DeepHuge: r"depth=201, but it is a number from 0 to 200",
    HybridNullable: r"boss is str, but User\.shout can be NULL: write boss: str \| None",
    PointNullable: r"where is Point, but User\.point can be NULL: write where: Point \| None",
    Numeric: r"Numeric\.balance is str, but User\.balance holds Decimal: write balance: Decimal",
    Missing: r"Missing\.nmae: User\.nmae does not exist; did you mean name\?",
    MissingDefault: r"User\.nickname does not exist",
    NullableToOne: r"city is Named, but User\.city can be None: write city: Named \| None",
    OneForMany: r"User\.posts is a collection: write posts: tuple\[Named, \.\.\.\]",
    ManyForOne: r"city is list\[Named\], but User\.city leads to one City, not to a collection",
    SetForList: r"staff is set\[Named\], but User\.staff is a list, whose order a set would lose",
    ListForDict: r"notes is list\[Named\], but User\.notes is a dict: write dict",
    DictForList: r"staff is dict\[str, Named\], but User\.staff is a list: write tuple",
    OneTuple: r"staff is tuple\[Named\], but User\.staff is a collection: write staff: tuple",
    HashedMarks: r"Unhashable cannot; make it frozen=True",
    FrozenMarks: r"Unhashable cannot; make it frozen=True",
    Scalars: r"Scalars\.posts holds str, but User\.posts leads to Post: write a dataclass",
    Plain: r"User\.plain is no mapped attribute, and SQL cannot compute it",
    Dynamic: r"User\.visits is a dynamic relationship, which is queried and never loaded",
    Cyclic: r"CyclicPost\.author leads back to Cyclic, which it is a part of: .* depth=1",
    Unresolved: r"Unresolved cannot be read: its annotation names 'Nowhere'",
    PathOfOther: r"PathOfOther\.name: City\.name is no attribute of User",
    PathNotRelated: r"PathNotRelated\.name: User\.name is no relationship of User",
    PathOfText: r"PathOfText\.name: 'name' is no attribute of User",
    EmptyPath: r"Path\(\) names no attribute",
    PathNullableOfMany: r"cities holds str, but City\.name can be NULL: write str \| None in the",
    WrongOfMany: r"texts holds int, but Post\.text holds str: write str in the type of texts",
    PathNullable: r"city is str, but City\.name can be NULL: write city: str \| None",
    BadExpr: r"its Expr returned no SQL expression",
    RaisingExpr: r"its Expr raised AttributeError when given User: .*nothing",
    ForeignExpr: r"CountedPost\.comments: its Expr reads comments; write a subquery in the Expr",
    RelatedExpr: r"RelatedExpr\.posts: its Expr returned no SQL expression",
    NoSuchPath: r"NoSuchPath cannot be read: an annotation raised AttributeError: .*nothing",
    ExprType: r"ExprType\.name is str, but its Expr gives int: write name: int",
    TwoMarks: r"TwoMarks\.name has 2 of Path and Expr",
    EnumAsText: r"level is str, but User\.level holds Level: write level: Level",
    WrongPoint: r"point is Named, but User\.point holds Point: write point: Point",
    NumericStruct: r"NumericStruct\.balance is str, but User\.balance holds Decimal",
    NumericModel: r"NumericModel\.balance is str, but User\.balance holds Decimal",
    UnionOfOne: r"Post has no subclasses to choose by",
    NotPolymorphic: r"name is Literal\[1, 2\], but User\.name holds str",
    Growing: r"the view takes more than 200 statements; lower a depth",
    OneForText: r"OneForText\.city holds str, but User\.city leads to City",
    Nameless: r"Nameless\.city holds None, but User\.city leads to City",
    DeepNegative: r"depth=-1, but it is a number from 0",
}


@pytest.mark.parametrize("cls", list(PROBLEMS), ids=lambda cls: cls.__name__)
def test_a_definition_that_does_not_fit(cls: Any) -> None:
    """The error names the class, the field and the repair."""
    with pytest.raises(ViewDefinitionError, match=PROBLEMS[cls]) as caught:
        view_plan(cls, User)
    assert len(caught.value.problems) == (2 if cls is Growing else 1)
    assert cls.__name__ in str(caught.value)


def test_every_problem_is_told_at_once() -> None:
    """Also those of classes within classes."""
    with pytest.raises(ViewDefinitionError) as caught:
        view_plan(Wrong, User)
    assert (
        caught.value.problems
        == (
            "Wrong.balance is str, but User.balance holds Decimal: write balance: Decimal",
            "Wrong.secret is str, but User.secret can be NULL: write secret: str | None",
            "WrongPost.text is int, but Post.text holds str: write text: int",
        )
        or len(caught.value.problems) == 3
    )
    assert "for 3 reasons:\n  - Wrong.balance" in str(caught.value)


@dataclass
class WrongPost:
    text: int


@dataclass
class Wrong:
    balance: str
    secret: str
    posts: list[WrongPost]


Name = NewType("Name", str)


class Upper(Protocol):
    def upper(self) -> str: ...


@dataclass
class Lenient:
    id: float
    name: Name
    title: Any
    balance: Decimal | int
    created_at: dt.date
    token: Annotated[uuid.UUID, "documented"]
    settings: list[Any]
    level: Union[Level, None]  # noqa: UP007
    city_id: object
    shout: Upper


class LenientModel(pydantic.BaseModel):
    balance: float
    token: uuid.UUID
    name: Literal["Ann", "Bob", "Cid"]
    secret: Annotated[str, pydantic.BeforeValidator(lambda value: value or "")]
    level: Level
    created_at: dt.date | None = None


def test_types_that_can_hold_a_column() -> None:
    """Promotion, aliases, unions, protocols, Any; and what pydantic reads."""
    assert view_plan(Lenient, User)
    assert view_plan(LenientModel, User)


def test_a_plan_is_made_once() -> None:
    """Asking for the same view again gives the same plan."""
    assert view_plan(Named, User) is view_plan(Named, User)


def test_a_plan_prints_its_statements() -> None:
    """And says how many there are."""
    plan = view_plan(Boss, User)
    assert repr(plan).startswith("Boss of User, statements: 2\n\n1. SELECT users.id")
    assert "= ANY (" in plan.statements()[1]
    assert "json_each(?)" in plan.statements(sqlite.dialect())[1]
    assert "POSTCOMPILE_sqla_safe_keys" in plan.statements(mysql.dialect())[1]
    assert plan.into is Boss
    assert plan.entity is User


@dataclass
class Boss:
    id: int
    staff: list[Named]


class DataBase(MappedAsDataclass, DeclarativeBase):
    pass


class Mapped2(DataBase):
    """An entity that is a dataclass too."""

    __tablename__ = "mapped"
    id: Mapped[int] = mapped_column(primary_key=True)


@pytest.mark.parametrize(
    ("into", "problem"),
    [
        (Named("x"), "this is an instance; write Named, its class"),
        ({"name": str}, "this is an instance"),
        (int, "int is no dataclass"),
        (list[Named], r"list\[Named\] is not a class alone; write Named, of which fetch makes a"),
        ([Named], r"is not a class alone; write Named, of which fetch makes a list"),
        (Named | None, r"Named | None is not a class alone; write Named"),
        (list[int], r"list\[int\] is no dataclass"),
        ("Named", "'Named' is a text; write the class itself, without quotes"),
        (None, "is no dataclass"),
        (User, "User is a mapped class; write a class of its own"),
        (Mapped2, "Mapped2 is a mapped class; write a class of its own"),
    ],
    ids=[
        *("instance", "dict", "int", "list", "list of one", "optional", "list of numbers", "text"),
        *("None", "entity", "dataclass that is mapped"),
    ],
)
def test_into_is_a_class_of_a_known_kind(session: Session, into: Any, problem: str) -> None:
    """Anything else is refused before a statement is sent."""
    with pytest.raises(ViewDefinitionError, match=problem):
        fetch(session, into, select(User))


def test_the_entity_is_mapped() -> None:
    """A plan is made of a mapped class."""
    with pytest.raises(ViewDefinitionError, match="int is not a mapped class"):
        view_plan(Named, int)


@pytest.mark.parametrize("source", [None, Session, 5, object()], ids=str)
def test_the_source_has_a_session(source: Any) -> None:
    """A sessionmaker or class has none yet."""
    with pytest.raises(ViewSourceError, match="fetch loads with a session or a scope"):
        fetch(source, Named, select(User))
