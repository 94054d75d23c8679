"""The classes that views can be made of."""

from __future__ import annotations

import uuid
from dataclasses import FrozenInstanceError, InitVar, dataclass, field
from decimal import Decimal
from inspect import signature
from typing import (
    Annotated,
    Any,
    ClassVar,
    Generic,
    NamedTuple,
    NotRequired,
    Self,
    TypedDict,
    TypeVar,
)

import attrs
import msgspec
import pydantic
import pydantic.dataclasses
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from sqla_safe import (
    ViewDefinitionError,
    afetch,
    afetch_one,
    afetch_one_or_none,
    astream_views,
    fetch,
    fetch_one,
    fetch_one_or_none,
    stream_views,
    view_plan,
)
from tests.unit.views.conftest import store
from tests.unit.views.models import Base, Level, Post, User

T = TypeVar("T")
ANN = select(User).where(User.id == 1)


@dataclass
class Mutable:
    id: int
    name: str


@dataclass(slots=True)
class MutableSlots:
    id: int
    name: str


@dataclass(frozen=True)
class Frozen:
    id: int
    name: str


@dataclass(frozen=True, slots=True)
class FrozenSlots:
    id: int
    name: str


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Weakly:
    id: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Keywords:
    name: str
    id: int


@dataclass(frozen=True, slots=True)
class HasId:
    id: int


@dataclass(frozen=True, slots=True)
class Inherited(HasId):
    name: str


@dataclass(frozen=True, slots=True)
class Of(Generic[T]):
    id: int
    name: T


@dataclass(frozen=True, slots=True)
class OfText(Of[str]):
    pass


@dataclass(frozen=True)
class Hooked:
    id: int
    name: str
    loud: str = field(init=False)
    count: ClassVar[int] = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "loud", self.name.upper())


@dataclass
class Watched:
    id: int
    name: str

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value if name == "id" else f"<{value}>")


@dataclass
class Defaulted:
    name: str
    id: int = 99


@dataclass
class Wants:
    id: int
    extra: InitVar[int]


@dataclass
class Takes:
    name: InitVar[str]
    id: int
    shown: str = field(init=False)

    def __post_init__(self, name: str) -> None:
        self.shown = f"{name}!"


class Struct(msgspec.Struct, frozen=True):
    id: int
    name: str


class KeywordStruct(msgspec.Struct, kw_only=True):
    name: str
    id: int


class RenamedStruct(msgspec.Struct, rename="camel"):
    id: int
    city_id: int | None


class Tuple(NamedTuple):
    id: int
    name: str


class Dict(TypedDict):
    id: int
    name: NotRequired[str]


class WiderDict(Dict, total=False):
    secret: str | None


@attrs.frozen
class Attrs:
    id: int
    name: str


@attrs.define
class Converting:
    id: int
    _name: str = attrs.field(converter=lambda value: f"<{value}>")

    @property
    def shown(self) -> str:
        return self._name


class Model(pydantic.BaseModel):
    id: int
    name: str


class Aliased(pydantic.BaseModel):
    id: int
    name: str = pydantic.Field(alias="userName")


class ByPath(pydantic.BaseModel):
    id: int = pydantic.Field(alias="userId")
    name: str = pydantic.Field(validation_alias=pydantic.AliasPath("names", 0))
    level: Any = pydantic.Field(
        validation_alias=pydantic.AliasChoices(pydantic.AliasPath("levels", "top"))
    )


class ByName(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(validate_by_name=True, validate_by_alias=False)
    id: int
    name: str = pydantic.Field(alias="userName")


@pydantic.dataclasses.dataclass(kw_only=True)
class AliasedKeywords:
    id: int
    name: str = pydantic.Field(alias="userName")


@pydantic.dataclasses.dataclass(config=pydantic.ConfigDict(alias_generator=str.upper))
class PartlyKeywords:
    id: int
    name: str
    x: int = pydantic.Field(kw_only=True)


class Checked(pydantic.BaseModel):
    name: str

    @pydantic.field_validator("name")
    @classmethod
    def shorten(cls, value: str) -> str:
        if value == "Bob":
            raise ValueError
        return value[:2]


@dataclass(init=False)
class OwnInit:
    id: int
    name: str

    def __init__(self, id: int, name: str) -> None:  # noqa: A002
        self.id, self.name = id, f"<{name}>"


@dataclass
class OwnNew:
    id: int
    name: str
    made: ClassVar[list[Any]] = []

    def __new__(cls, *_: Any, **__: Any) -> Self:
        new = object.__new__(cls)
        cls.made.append(new)
        return new


class Brackets(type):
    """Has a say in every object of its classes."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        made: Any = super().__call__(*args, **kwargs)
        made.name = f"<{made.name}>"
        return made


@dataclass
class OfMeta(metaclass=Brackets):
    id: int
    name: str


class Bracketed:
    """Stores something else than it is given."""

    def __get__(self, one: Any, owner: Any = None) -> Any:
        return "?" if one is None else one.__dict__["kept"]

    def __set__(self, one: Any, value: str) -> None:
        one.__dict__["kept"] = f"<{value}>"


@dataclass(frozen=True)
class Described:
    id: int
    name: str = Bracketed()  # type: ignore[assignment]


class Undecorated(Frozen):
    def __init__(self, id: int, name: str) -> None:  # noqa: A002
        super().__init__(id, f"<{name}>")


@dataclass(frozen=True)
class Finished:
    id: int
    name: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", f"<{self.name}>")


class Tupled(Tuple):
    def __new__(cls, id: int, name: str) -> Self:  # noqa: A002
        return super().__new__(cls, id, f"<{name}>")


@pydantic.dataclasses.dataclass
class Validated:
    id: int
    name: Annotated[str, pydantic.AfterValidator(lambda value: f"<{value}>")]


@dataclass(frozen=True, slots=True)
class Partly:
    id: int
    name: str
    kind: str = field(init=False, default="x")


class Private(pydantic.BaseModel):
    id: int
    _seen: list[int] = pydantic.PrivateAttr(default_factory=list)


@attrs.define
class Called:
    id: str = attrs.field(converter=str)
    name: str = attrs.field(kw_only=True, alias="called")
    seen: int = attrs.field(init=False, default=5)


class LateUser(pydantic.BaseModel):
    posts: list[LatePost]


class LatePost(pydantic.BaseModel):
    id: int


class Before(pydantic.BaseModel):
    secret: Annotated[str, pydantic.BeforeValidator(lambda value: value or "")]


class After(pydantic.BaseModel):
    balance: uuid.UUID

    @pydantic.field_validator("balance")
    @classmethod
    def check(cls, value: uuid.UUID) -> uuid.UUID:
        return value


CLASSES: list[Any] = [Mutable, MutableSlots, Frozen, FrozenSlots, Weakly, Keywords, Inherited]
CLASSES += [Attrs, Struct, KeywordStruct, Model, Defaulted]


@pytest.mark.parametrize(
    "cls",
    CLASSES,
    ids=lambda cls: cls.__name__,
)
def test_a_class_is_made_as_its_constructor_makes_it(session: Session, cls: Any) -> None:
    """The object equals one that was made by hand, and is of just that class."""
    found = fetch_one(session, cls, ANN)
    assert type(found) is cls
    assert found == cls(id=1, name="Ann")
    assert repr(found) == repr(cls(id=1, name="Ann"))


@pytest.mark.parametrize("cls", [Frozen, FrozenSlots, Inherited], ids=lambda cls: cls.__name__)
def test_a_frozen_class_stays_frozen(session: Session, cls: Any) -> None:
    """Filling it quickly leaves nothing open."""
    found = fetch_one(session, cls, ANN)
    with pytest.raises(FrozenInstanceError):
        found.name = "Eve"
    assert hash(found) == hash(cls(1, "Ann"))


def test_a_named_tuple_is_made(session: Session) -> None:
    """Fields are in their order."""
    assert fetch_one(session, Tuple, ANN) == (1, "Ann")
    assert type(fetch_one(session, Tuple, ANN)) is Tuple


def test_a_typed_dict_is_made(session: Session) -> None:
    """Inherited keys and those that are not required are loaded too."""
    assert fetch_one(session, Dict, ANN) == {"id": 1, "name": "Ann"}
    assert fetch_one(session, WiderDict, ANN) == {"id": 1, "name": "Ann", "secret": "abc"}


def test_generic_classes_are_filled_in(session: Session) -> None:
    """Type variables stand for what was named, in an alias and in a base."""
    assert fetch_one(session, Of[str], ANN) == Of(1, "Ann")
    assert fetch_one(session, OfText, ANN) == OfText(1, "Ann")


@dataclass(frozen=True)
class Holding(Generic[T]):
    posts: tuple[T, ...]


@dataclass(frozen=True)
class OfLater(Holding["Later"]):
    id: int


@dataclass(frozen=True)
class OfNobody(Holding["Nobody"]):  # type: ignore[name-defined]
    id: int


@dataclass(frozen=True)
class Later:
    text: str


def test_a_base_names_its_argument_as_text(session: Session) -> None:
    """The class that it means may come later, but must come."""
    assert fetch_one(session, OfLater, ANN).posts[0] == Later("one")
    with pytest.raises(ViewDefinitionError, match="its annotation names 'Nobody', which cannot be"):
        view_plan(OfNobody, User)


def test_hooks_run(session: Session) -> None:
    """`__post_init__`, `__setattr__`, converters and validators are the class's own business."""
    assert fetch_one(session, Hooked, ANN).loud == "ANN"
    assert fetch_one(session, Watched, ANN).name == "<Ann>"
    assert fetch_one(session, Converting, ANN).shown == "<Ann>"
    assert fetch_one(session, Checked, ANN).name == "An"


@pytest.mark.parametrize(
    "cls",
    [OwnInit, OfMeta, Described, Undecorated, Finished, Tupled, Validated],
    ids=lambda cls: cls.__name__,
)
def test_whoever_has_a_say_is_asked(session: Session, cls: Any) -> None:
    """An ``__init__`` or metaclass of one's own, a descriptor, a base's rule, pydantic."""
    assert fetch_one(session, cls, ANN).name == "<Ann>"


def test_what_is_not_given_has_its_default(session: Session) -> None:
    """In slots of a frozen class, in private attributes, and by way of ``__new__``."""
    assert fetch_one(session, Partly, ANN) == Partly(1, "Ann")
    assert fetch_one(session, Partly, ANN).kind == "x"
    assert fetch_one(session, Private, ANN, validate=False)._seen == []  # noqa: SLF001
    found = fetch_one(session, OwnNew, ANN)
    assert OwnNew.made[-1] is found


def test_a_struct_with_renamed_fields_is_made(session: Session) -> None:
    """The names of the encoded form are no names of attributes."""
    assert fetch_one(session, RenamedStruct, ANN) == RenamedStruct(1, 1)


def test_a_model_is_filled_by_its_aliases(session: Session) -> None:
    """As pydantic itself wants it."""
    assert fetch_one(session, Aliased, ANN).name == "Ann"
    assert fetch_one(session, Aliased, ANN, validate=False).name == "Ann"


@pytest.mark.parametrize("cls", [AliasedKeywords, PartlyKeywords])
def test_a_dataclass_of_pydantic_is_given_keywords_by_alias(session: Session, cls: Any) -> None:
    """Its arguments are called so, where they cannot come in order."""
    found = fetch_one(session, cls, ANN)
    assert (found.id, found.name) == (1, "Ann")


BY_NAME = pytest.mark.skipif(
    "by_name" not in signature(pydantic.BaseModel.model_validate).parameters,
    reason="pydantic before 2.11 reads a field by its alias only",
)


@BY_NAME
def test_a_model_that_knows_no_aliases_is_filled_by_name(session: Session) -> None:
    """Its configuration says so."""
    assert fetch_one(session, ByName, ANN).name == "Ann"


@BY_NAME
def test_a_model_is_filled_beside_an_alias_that_is_a_path(session: Session) -> None:
    """A field that pydantic finds inside of other values is given to it by its name."""
    found = fetch_one(session, ByPath, ANN)
    assert (found.id, found.name, found.level) == (1, "Ann", Level.HIGH)


def test_models_are_validated_unless_told(session: Session) -> None:
    """A validator's refusal is pydantic's own error; validate=False leaves it out."""
    bob = select(User).where(User.id == 2)
    with pytest.raises(pydantic.ValidationError):
        fetch(session, Checked, bob)
    [found] = fetch(session, Checked, bob, validate=False)
    assert found.name == "Bob"
    assert found.model_fields_set == {"name"}
    assert found == Checked.model_construct(name="Bob")
    assert found.model_copy(update={"name": "x"}).model_dump() == {"name": "x"}


def test_none_of_the_family_validates_what_it_is_not_to(session: Session) -> None:
    """One, one or none, and streams."""
    bob = select(User).where(User.id == 2)
    assert fetch_one(session, Checked, bob, validate=False).name == "Bob"
    assert fetch_one_or_none(session, Checked, bob, validate=False) == Checked.model_construct(
        name="Bob"
    )
    [[found]] = stream_views(session, Checked, bob, validate=False)
    assert found.name == "Bob"
    for ask in (fetch_one, fetch_one_or_none, lambda *args: list(stream_views(*args))):
        with pytest.raises(pydantic.ValidationError):
            ask(session, Checked, bob)  # type: ignore[operator]


async def test_none_of_the_asynchronous_family_validates_what_it_is_not_to() -> None:
    """The same with an AsyncSession."""
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    bob = select(User).where(User.id == 2)
    async with AsyncSession(engine) as session:
        await session.run_sync(store)
        expected = Checked.model_construct(name="Bob")
        assert await afetch(session, Checked, bob, validate=False) == [expected]
        assert await afetch_one(session, Checked, bob, validate=False) == expected
        assert await afetch_one_or_none(session, Checked, bob, validate=False) == expected
        streamed = astream_views(session, Checked, bob, validate=False)
        assert [batch async for batch in streamed] == [[expected]]
        with pytest.raises(pydantic.ValidationError):
            await afetch(session, Checked, bob)
    await engine.dispose()


class Floating(pydantic.BaseModel):
    balance: float


def test_what_is_not_validated_has_to_fit(session: Session) -> None:
    """Nobody makes a float of a Decimal then."""
    assert fetch_one(session, Floating, ANN) == Floating(balance=12.5)
    assert view_plan(Floating, User)
    for _ in range(2):
        with pytest.raises(ViewDefinitionError, match=r"but User\.balance holds Decimal"):
            view_plan(Floating, User, validate=False)
        with pytest.raises(ViewDefinitionError, match=r"but User\.balance holds Decimal"):
            fetch(session, Floating, ANN, validate=False)


def test_attributes_of_attrs_have_ways_of_their_own(session: Session) -> None:
    """A converter takes any type, and a keyword may have another name."""
    assert fetch_one(session, Called, ANN) == Called("1", called="Ann")


def test_a_model_may_name_what_comes_later(session: Session) -> None:
    """It is complete when it is asked for."""
    [bob] = fetch(session, LateUser, select(User).where(User.id == 2))
    assert bob == LateUser(posts=[LatePost(id=4)])


def test_who_validates_before_takes_anything(session: Session) -> None:
    """But only if it is asked; what comes after is given what pydantic has read."""
    assert fetch(session, Before, select(User).where(User.id < 3))[1].secret == ""
    with pytest.raises(ViewDefinitionError, match=r"User\.secret can be NULL"):
        view_plan(Before, User, validate=False)
    with pytest.raises(ViewDefinitionError, match=r"balance is UUID, but User\.balance holds"):
        view_plan(After, User)


def test_init_vars_and_unknown_names_are_problems(session: Session) -> None:
    """What ``__init__`` wants beside the fields cannot come from an entity."""
    with pytest.raises(ViewDefinitionError, match=r"User\.extra does not exist"):
        fetch(session, Wants, ANN)
    assert fetch_one(session, Takes, ANN).shown == "Ann!"


@dataclass(frozen=True, slots=True)
class PostOf(Generic[T]):
    author: T


@dataclass(frozen=True, slots=True)
class Price:
    balance: Decimal


def test_a_generic_class_is_nested(session: Session) -> None:
    """The variable stands for a class with fields of its own."""
    found = fetch(session, PostOf[Price], select(Post).where(Post.id == 1))
    assert found == [PostOf(Price(Decimal("12.50")))]
