"""Statements that come again and again, and classes that come once."""

from __future__ import annotations

import gc
import weakref
from contextlib import suppress
from dataclasses import dataclass, make_dataclass
from typing import Annotated, Any, ClassVar, Generic, TypeVar

import pytest
from sqlalchemy import (
    Dialect,
    Engine,
    Select,
    String,
    TypeDecorator,
    bindparam,
    create_engine,
    event,
    func,
    literal,
    select,
)
from sqlalchemy.exc import OperationalError, StatementError
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    aliased,
    mapped_column,
    with_loader_criteria,
    with_polymorphic,
)
from sqlalchemy.pool import StaticPool

from sqla_safe import (
    Expr,
    ViewDefinitionError,
    fetch,
    fetch_one,
    fetch_one_or_none,
    stream_views,
)
from sqla_safe.views import _views
from sqla_safe.views._repeats import SHAPES
from sqla_safe.views._views import RUN_TIME_CLASSES, view_of
from tests.unit.views.conftest import store
from tests.unit.views.models import Base as Shop
from tests.unit.views.models import Company, Engineer, Person, Post, User

T = TypeVar("T")


class Base(DeclarativeBase):
    pass


class ByVersion(TypeDecorator[str]):
    """A type that asks which version of the database it is in."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Return what the server has."""
        assert dialect.server_version_info is not None
        return String()


@dataclass(frozen=True)
class PostCard:
    id: int
    text: str


@dataclass(frozen=True)
class UserCard:
    id: int
    name: str
    posts: tuple[PostCard, ...]


@dataclass(frozen=True)
class Staff:
    id: int
    name: str


@dataclass(frozen=True)
class Of(Generic[T]):
    """A class of the module, whose argument may be one of a moment."""

    id: int


def ids(session: Session, statement: Select[Any]) -> list[int]:
    """Return the keys of the users found."""
    return [card.id for card in fetch(session, UserCard, statement.order_by(User.id))]


def test_a_statement_is_made_ready_twice_at_most(session: Session, read: list[Any]) -> None:
    """However often a function builds it, and whatever its values are."""
    for number in (3, 1, 2, 7, 1, 2, 3):
        expected = [number] if number <= 3 else []
        assert ids(session, select(User).where(User.id == number, User.name != "x")) == expected
    assert len(read) == 2


def test_without_keys_each_statement_is_made_ready(
    session: Session, read: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where SQLAlchemy has no key for them, or none by this name, nothing else changes."""
    monkeypatch.setattr(Select, "_generate_cache_key", lambda _: None)
    for number in (1, 2, 3):
        assert ids(session, select(User).where(User.id == number, User.name != "z")) == [number]
    assert len(read) == 3


def test_a_kept_statement_is_read_once(session: Session, read: list[Any]) -> None:
    """Also where the session has a say in every statement."""
    event.listen(session, "do_orm_execute", lambda _: None)
    kept = select(User).where(User.id == 1, User.name != "y")
    for _ in range(3):
        assert len(fetch(session, UserCard, kept)) == 1
    assert len(read) == 1


def test_each_statement_has_its_own_values(session: Session) -> None:
    """Lists of any length, limits, names, functions and whole subqueries."""
    name = ["Ann"]
    named = bindparam("name", callable_=lambda: name[0])
    for number in (1, 2, 3, 2, 1):
        assert ids(session, select(User).where(User.id.in_(range(number, 4)))) == [
            one for one in (1, 2, 3) if one >= number
        ]
        assert ids(session, select(User).where(User.id.in_([]))) == []
        assert ids(session, select(User).limit(number)) == [1, 2, 3][:number]
        assert ids(session, select(User).where(User.id == bindparam("number", number))) == [number]
        name[0] = ["Ann", "Bob", "Cid"][number - 1]
        assert ids(session, select(User).where(User.name == named)) == [number]
        writers = select(Post.author_id).where(Post.id == number + 1)
        assert ids(session, select(User).where(User.id.in_(writers))) == [[1], [1], [2]][number - 1]


def test_equal_names_of_different_values_are_kept_apart(session: Session) -> None:
    """Parameters that SQLAlchemy names anew are as good as those with a name."""
    for number in (1, 2, 3, 1):
        statement = select(User).where(User.id >= number, User.id <= number)
        assert ids(session, statement) == [number]
        small = select(User).where(User.id.between(number, 2) | (User.id == literal(3)))
        assert ids(session, small) == [*range(number, 3), 3]


def test_values_may_be_given_to_a_statement(session: Session) -> None:
    """``params()`` changes them after the fact; without it a value is missing."""
    for number in (1, 2, 3, 2):
        statement = select(User).where(User.id == bindparam("number"))
        assert ids(session, statement.params(number=number)) == [number]
    for _ in range(3):
        with pytest.raises(StatementError, match="value is required"):
            ids(session, select(User).where(User.id == bindparam("other")))


def test_aliases_and_subclasses_have_their_own_values(session: Session) -> None:
    """Also where SQLAlchemy copies the conditions when it compiles a statement."""
    for number in (2, 1, 3, 1):
        other = aliased(Person)
        several = with_polymorphic(Person, "*", flat=True, aliased=True)
        for entity in (Person, other, several):
            found = fetch(session, Staff, select(entity).where(entity.id == number))
            assert [one.id for one in found] == [number]
        engineers = fetch(session, Staff, select(Engineer).where(Engineer.id == number))
        assert [one.id for one in engineers] == ([2] if number == 2 else [])


class Asking(Base):
    __tablename__ = "asking"
    id: Mapped[int] = mapped_column(primary_key=True)
    word: Mapped[str] = mapped_column(ByVersion)


@dataclass(frozen=True)
class AskingCard:
    id: int
    word: str


def test_a_server_is_met_before_a_statement_is_made_for_it() -> None:
    """What its dialect and types make of a statement depends on what the server can do."""
    engines = [create_engine("sqlite://", poolclass=StaticPool) for _ in range(2)]
    Asking.metadata.create_all(engines[0])
    for session in map(Session, engines):
        with session, suppress(OperationalError):  # the second one has no tables
            fetch(session, AskingCard, select(Asking).where(Asking.word == "x"))
    for engine in engines:
        engine.dispose()


@dataclass(frozen=True)
class Settings:
    settings: Any
    posts: tuple[PostCard, ...]


def test_each_engine_reads_values_in_its_own_way(engine: Engine) -> None:
    """Though they are of one kind, and take turns."""
    other = create_engine(
        "sqlite://", poolclass=StaticPool, json_deserializer=lambda text: ["other", text]
    )
    Shop.metadata.create_all(other)
    with Session(other) as session:
        store(session)
    everybody = select(User).order_by(User.id)
    for one in (engine, other, engine, other):
        with Session(one) as session:
            expected = [user.settings for user in session.scalars(everybody)]
            assert [each.settings for each in fetch(session, Settings, everybody)] == expected
            [batch] = stream_views(session, Settings, everybody)
            assert [each.settings for each in batch] == expected
            assert ("other" in expected[0]) == (one is other)
    other.dispose()


def test_options_are_heard_whenever_they_come(session: Session) -> None:
    """Criteria and execution options of this statement, and a listener that came later."""
    for number in (1, 2, 1, 2):
        assert ids(session, select(User).where(User.id <= number)) == [1, 2][:number]
        criteria = with_loader_criteria(Post, Post.id == number)
        [card] = fetch(session, UserCard, select(User).where(User.id == 1).options(criteria))
        assert [post.id for post in card.posts] == [number]
    tagged: list[Any] = []
    event.listen(
        session.get_bind(),
        "before_cursor_execute",
        lambda *args: tagged.append(args[4].execution_options.get("tag")),
    )
    for tag in ("a", "b", "c"):
        ids(session, select(User).where(User.id <= 3).execution_options(tag=tag))
    assert tagged == ["a", "a", "b", "b", "c", "c"]

    def filtered(state: Any) -> None:
        state.statement = state.statement.options(with_loader_criteria(User, User.tenant == 2))

    event.listen(session, "do_orm_execute", filtered)
    assert ids(session, select(User).where(User.id <= 3)) == [3]


def test_what_is_pending_is_seen_by_a_repeated_statement(session: Session) -> None:
    """A session with changes flushes them first, as ever."""
    for number in (1, 2, 3):
        assert ids(session, select(User).where(User.id == number)) == [number]
    session.add(User(id=4, name="Dot"))
    assert ids(session, select(User).where(User.id == 4)) == [4]
    user = session.get_one(User, 4)
    user.name = "Dora"
    card = fetch_one(session, UserCard, select(User).where(User.id == 4))
    assert card.name == "Dora"
    session.commit()
    session.delete(session.get_one(User, 4))
    assert ids(session, select(User).where(User.id == 4)) == []


def test_an_override_of_a_session_is_heard(engine: Engine) -> None:
    """A session that has its own ``execute`` is asked each time."""
    seen: list[Any] = []

    class Loud(Session):
        def execute(self, *args: Any, **kw: Any) -> Any:
            seen.append(args)
            return super().execute(*args, **kw)

    for _ in range(4):
        with Session(engine) as quiet:
            ids(quiet, select(User).where(User.id == 1))
        with Loud(engine) as session:
            ids(session, select(User).where(User.id == 1))
    assert len(seen) == 4 * 2


class Zoo(DeclarativeBase):
    pass


class Animal(Zoo):
    __tablename__ = "animals"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    __mapper_args__: ClassVar[dict[str, Any]] = {
        "polymorphic_on": "kind",
        "polymorphic_identity": "animal",
    }


class Bird(Animal):
    wings: Mapped[int | None]
    __mapper_args__: ClassVar[dict[str, Any]] = {"polymorphic_identity": "bird"}


@dataclass(frozen=True)
class AnimalCard:
    id: int


@dataclass(frozen=True)
class BirdCard:
    id: int
    wings: int | None


@dataclass(frozen=True)
class Firm:
    name: str
    staff: tuple[Staff, ...]


def test_one_class_may_show_two_entities(session: Session) -> None:
    """Each with its own statements."""
    acme = Firm("Acme", (Staff(1, "Mia"), Staff(2, "Eve"), Staff(3, "Pat")))
    for _ in range(3):
        assert fetch(session, Firm, select(Company)) == [acme]
        ann = fetch_one(session, Firm, select(User).where(User.id == 1))
        assert ann == Firm("Ann", (Staff(2, "Bob"), Staff(3, "Cid")))


def test_a_class_that_is_mapped_later_is_known() -> None:
    """A view that was made ready before it was mapped is made anew, kept statements too."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Zoo.metadata.create_all(engine)
    into: Any = BirdCard | AnimalCard
    with Session(engine) as session:
        session.add(Bird(id=1, wings=2))
        session.commit()
        for _ in range(3):
            assert fetch(session, into, select(Animal)) == [BirdCard(1, 2)]

        class Owl(Bird):
            __mapper_args__: ClassVar[dict[str, Any]] = {"polymorphic_identity": "owl"}

        session.add(Owl(id=2, wings=3))
        session.commit()
        everything = select(Animal).order_by(Animal.id)
        for statement in (select(Animal), everything):
            assert set(fetch(session, into, statement)) == {BirdCard(1, 2), BirdCard(2, 3)}
    engine.dispose()


def test_shapes_are_forgotten(session: Session) -> None:
    """A function that builds ever new statements does not fill the memory."""
    for number in range(SHAPES * 2):
        statement = select(User).where(User.id.in_([1]))
        statement = statement.where(User.name != literal("x").label(f"l{number}"))
        assert fetch_one_or_none(session, UserCard, statement) is not None
    view = view_of(UserCard, select(User), validate=True)
    assert len(view._repeats._known) <= SHAPES  # noqa: SLF001


def test_classes_of_a_moment_are_let_go(session: Session) -> None:
    """Of those that are made at run time a few are kept, and a module's own for good."""
    kept = view_of(UserCard, select(User), validate=True)
    seen = []
    for _ in range(RUN_TIME_CLASSES + 100):
        into: Any = make_dataclass("Card", [("id", int)], frozen=True)
        fetch(session, into, select(User))
        seen.append(weakref.ref(into))
    fetch(session, Of[into], select(User))
    assert (Of[into], True) not in _views._lasting  # noqa: SLF001
    del into
    gc.collect()
    assert sum(one() is not None for one in seen) <= RUN_TIME_CLASSES
    assert view_of(UserCard, select(User), validate=True) is kept


def test_what_cannot_be_a_key_is_refused(session: Session) -> None:
    """A list of classes is no class, and is told so."""
    with pytest.raises(ViewDefinitionError, match="is not a class alone; write"):
        fetch(session, [UserCard], select(User))  # type: ignore[arg-type]


POSTS, OTHERS = aliased(Post), aliased(Post)
COUNTS = select(Post.author_id, Post.id).subquery()
OTHER_COUNTS = select(Post.author_id, Post.id).subquery()


@dataclass(frozen=True)
class OfAlias:
    id: int
    post: Annotated[int, Expr(lambda _: POSTS.id)]


@dataclass(frozen=True)
class OfSubquery:
    id: int
    post: Annotated[int, Expr(lambda _: COUNTS.c.id)]


@dataclass(frozen=True)
class BySubquery:
    id: int
    post: Annotated[
        int, Expr(lambda _: select(Post.id).where(Post.id == POSTS.id).scalar_subquery())
    ]


def own_and_bosss(own: Any, bosss: Any) -> Select[Any]:
    """Return the SELECT of each user's own posts with those of their boss."""
    mine, theirs = getattr(own, "c", own), getattr(bosss, "c", bosss)
    users = select(User).join(own, mine.author_id == User.id)
    return users.join(bosss, theirs.author_id == User.boss_id).order_by(User.id)


@pytest.mark.parametrize(
    ("into", "one", "other"),
    [
        (OfAlias, POSTS, OTHERS),
        (BySubquery, POSTS, OTHERS),
        (OfSubquery, COUNTS, OTHER_COUNTS),
    ],
)
def test_an_alias_keeps_its_part(session: Session, into: Any, one: Any, other: Any) -> None:
    """Two statements of which each uses an alias as the other does another one are not the same."""
    for _ in range(3):
        posts = [card.post for card in fetch(session, into, own_and_bosss(one, other))]
        assert sorted(posts) == [4, 4, 4]
        posts = [card.post for card in fetch(session, into, own_and_bosss(other, one))]
        assert sorted(posts) == [1, 2, 3]


def test_what_an_expression_makes_anew_is_repeated(session: Session, read: list[Any]) -> None:
    """An alias of its own is in no statement's way, nor is a table."""

    def posts(user: type[User]) -> Any:
        own = aliased(Post)
        return select(func.count(own.id)).where(own.author_id == user.id).scalar_subquery()

    into = make_dataclass("Counted", [("id", int), ("posts", Annotated[int, Expr(posts)])])
    for number in (1, 2, 1, 2):
        [card] = fetch(session, into, select(User).where(User.id == number))
        assert card.posts == (3 if number == 1 else 1)
    assert len(read) == 2
