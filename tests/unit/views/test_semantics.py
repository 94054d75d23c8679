"""What the ORM promises of a SELECT is kept in every statement of a view."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from sqlalchemy import Engine, event, func, select
from sqlalchemy.orm import ORMExecuteState, Session, aliased, sessionmaker, with_loader_criteria

from sqla_safe import Expr, Path, fetch, stream_views
from tests.unit.views.models import (
    City,
    Comment,
    Company,
    Country,
    Engineer,
    Manager,
    Node,
    Person,
    Post,
    Tag,
    Tenanted,
    User,
)
from tests.unit.views.test_relationships import CompanyCard, ManagerCard

ALL = select(User).order_by(User.id)


@dataclass(frozen=True, slots=True)
class Named:
    id: int
    name: str


@dataclass(frozen=True, slots=True)
class CommentCard:
    id: int
    author: Named | None


@dataclass(frozen=True, slots=True)
class PostCard:
    id: int
    comments: tuple[CommentCard, ...]


@dataclass(frozen=True, slots=True)
class Card:
    id: int
    city: Named | None
    boss: Named | None
    posts: tuple[PostCard, ...]
    tags: tuple[Named, ...]
    staff: tuple[Named, ...]


def shown(session: Session, statement: Any) -> list[Any]:
    """The same as `Card`, from entities."""
    return [
        Card(
            user.id,
            named(user.city),
            named(user.boss),
            tuple(
                PostCard(p.id, tuple(CommentCard(c.id, named(c.author)) for c in p.comments))
                for p in user.posts
            ),
            tuple(Named(tag.id, tag.name) for tag in user.tags),
            tuple(Named(one.id, one.name) for one in user.staff),
        )
        for user in session.scalars(statement)
    ]


def named(entity: Any) -> Named | None:
    """Return what is shown of a related entity."""
    return None if entity is None else Named(entity.id, entity.name)


CRITERIA = {
    "the root": with_loader_criteria(User, User.tenant == 1),
    "a collection": with_loader_criteria(Post, Post.id != 2),
    "a level below a collection": with_loader_criteria(Comment, Comment.id != 2),
    "a secondary": with_loader_criteria(Tag, Tag.name == "red"),
    "a to-one": with_loader_criteria(City, City.id == 2),
    "a class that meets itself": with_loader_criteria(User, User.id != 1),
    "a mixin": with_loader_criteria(Tenanted, lambda cls: cls.tenant == 1, include_aliases=True),
}


@pytest.fixture(params=list(CRITERIA))
def criteria(request: pytest.FixtureRequest) -> Any:
    """Give criteria for each part of a view."""
    return CRITERIA[request.param]


def test_criteria_of_the_statement_hold_everywhere(session: Session, criteria: Any) -> None:
    """What the entities hold that are loaded with the same option, the views hold."""
    statement = ALL.options(criteria)
    plain = fetch(session, Card, ALL)
    found = fetch(session, Card, statement)
    assert found == shown(session, statement)
    assert found != plain
    batches = stream_views(session, Card, statement, batch_size=2)
    assert [one for batch in batches for one in batch] == found


@pytest.fixture
def filtered(engine: Engine, criteria: Any) -> Iterator[Session]:
    """Give a session whose every SELECT is filtered, as tenants are kept apart."""
    maker = sessionmaker(engine)

    @event.listens_for(maker, "do_orm_execute")
    def add(state: ORMExecuteState) -> None:
        if state.is_select and not state.is_column_load and not state.is_relationship_load:
            state.statement = state.statement.options(criteria)

    with maker() as session:
        yield session


def test_criteria_of_the_session_hold_everywhere(filtered: Session, session: Session) -> None:
    """A filter in `do_orm_execute` sees every statement of a view."""
    plain = fetch(session, Card, ALL)
    found = fetch(filtered, Card, ALL)
    assert found == shown(filtered, ALL)
    assert found != plain
    [batch] = stream_views(filtered, Card, ALL)
    assert batch == found


def tenants_apart(engine: Engine, entity: Any, condition: Any) -> Session:
    """Return a session that filters one class."""
    maker = sessionmaker(engine)

    @event.listens_for(maker, "do_orm_execute")
    def add(state: ORMExecuteState) -> None:
        state.statement = state.statement.options(with_loader_criteria(entity, condition))

    return maker()


def test_a_path_cannot_go_around_criteria(engine: Engine) -> None:
    """Reaching a filtered row by a Path gives None, as reading the relationship does."""
    with tenants_apart(engine, City, City.id != 1) as session:
        found = fetch(session, ByPath, ALL)
    assert [one.city for one in found] == [None, None, "Nowhere"]


def test_a_path_of_a_class_to_itself_is_filtered(engine: Engine) -> None:
    """It cannot be joined, and is a statement of its own."""
    with Session(engine) as session:
        assert [one.boss for one in fetch(session, Led, ALL)] == [None, "Ann", "Ann"]
    with tenants_apart(engine, User, User.id != 1) as session:
        assert [one.boss for one in fetch(session, Led, ALL)] == [None, None]


@dataclass(frozen=True, slots=True)
class Led:
    boss: Annotated[str | None, Path(User.boss, User.name)]


@dataclass(frozen=True, slots=True)
class ByPath:
    city: Annotated[str | None, Path(User.city, City.name)]


def test_a_class_in_the_users_own_joins(engine: Engine) -> None:
    """The view's join of a class that the statement has already is filtered all the same."""
    statement = ALL.join(User.city)
    with Session(engine) as session:
        assert [one.city for one in fetch(session, WithCity, statement)] != []
    with tenants_apart(engine, City, City.id != 1) as session:
        assert [one.city for one in fetch(session, WithCity, statement)] == [Named(2, "Nowhere")]


def test_an_outer_join_of_the_users_own_hides_no_filter(engine: Engine) -> None:
    """What criteria hide in it, the view's own join does not find under another name."""
    statement = ALL.outerjoin(User.city)
    expected = [WithCity(None), WithCity(None), WithCity(Named(2, "Nowhere"))]
    with tenants_apart(engine, City, City.id != 1) as session:
        assert fetch(session, WithCity, statement) == expected
    with Session(engine) as session:
        criteria = with_loader_criteria(City, City.id != 1)
        assert fetch(session, WithCity, statement.options(criteria)) == expected


def test_criteria_that_stay_at_the_root_stay_there(session: Session) -> None:
    """As `propagate_to_loaders=False` has it for entities."""
    alone = with_loader_criteria(Post, Post.id != 2, propagate_to_loaders=False)
    found = fetch(session, Card, ALL.options(alone))
    assert [post.id for post in found[0].posts] == [1, 2, 3]
    assert found == shown(session, ALL.options(alone))


@dataclass(frozen=True, slots=True)
class WithCity:
    city: Named | None


def test_a_subquery_is_not_correlated_by_accident(session: Session) -> None:
    """A join of the view leaves the user's subqueries alone."""
    has_city = select(City.id).where(City.id == User.city_id, City.name == "Amaurot").exists()
    found = fetch(session, WithCity, ALL.where(has_city))
    assert found == [WithCity(Named(1, "Amaurot"))] * 2


@dataclass(frozen=True, slots=True)
class Cities:
    city: Named | None
    known: Annotated[int, Expr(lambda _: select(func.count(City.id)).scalar_subquery())]


def test_an_expression_is_not_correlated_by_accident(session: Session) -> None:
    """A subquery over a class that the view joins keeps its own FROM."""
    assert {one.known for one in fetch(session, Cities, ALL)} == {2}
    assert {one.settled for one in fetch(session, SettledFirst, ALL)} == {1}


def settled(_: Any) -> Any:
    """Count the cities of all countries."""
    return select(func.count(City.id)).where(City.country_id == Country.id).scalar_subquery()


@dataclass(frozen=True, slots=True)
class SettledFirst:
    settled: Annotated[int, Expr(settled)]
    city: Named | None


def test_single_table_criteria_are_kept(session: Session) -> None:
    """A subclass without a table of its own is its rows only, under an alias too."""
    assert fetch(session, ManagerCard, select(Manager)) == [ManagerCard("Mia", 100)]
    assert fetch(session, ManagerCard, select(aliased(Manager))) == [ManagerCard("Mia", 100)]


def test_polymorphic_criteria(engine: Engine) -> None:
    """What is hidden of a subclass is not shown as its base."""
    with tenants_apart(engine, Person, Person.id != 1) as session:
        [company] = fetch(session, CompanyCard, select(Company))
        assert [one.name for one in company.staff] == ["Eve", "Pat"]
    with tenants_apart(engine, Engineer, Engineer.language != "Python") as session:
        [company] = fetch(session, CompanyCard, select(Company))
        assert [one.name for one in company.staff] == ["Mia", "Pat"]


def test_a_listener_may_answer_itself(engine: Engine) -> None:
    """Rows from a cache, converted already, make the same objects."""
    maker = sessionmaker(engine)
    answers: dict[Any, Any] = {}

    @event.listens_for(maker, "do_orm_execute")
    def cached(state: ORMExecuteState) -> Any:
        key = str(state.statement)
        if key not in answers:
            answers[key] = state.invoke_statement().freeze()
        return answers[key]()

    with maker() as session, Session(engine) as plain:
        expected = fetch(plain, Card, ALL)
        assert fetch(session, Card, ALL) == expected
        assert fetch(session, Card, ALL) == expected


def test_execution_options_reach_every_statement(engine: Engine) -> None:
    """A tenant named in an option is seen by whoever filters the levels below."""
    maker = sessionmaker(engine)
    seen: list[Any] = []

    @event.listens_for(maker, "do_orm_execute")
    def see(state: ORMExecuteState) -> None:
        seen.append(state.execution_options.get("tenant"))

    with maker() as session:
        fetch(session, PostCard, select(Post).execution_options(tenant=7))
    assert seen == [7, 7]


def test_a_server_side_cursor_loses_no_row(session: Session) -> None:
    """`yield_per` on the statement changes how rows travel, and nothing else."""
    assert fetch(session, Named, ALL.execution_options(yield_per=2)) == fetch(session, Named, ALL)


def test_how_rows_travel_is_the_roots_affair(engine: Engine) -> None:
    """The levels below are read at once, whatever the statement says of itself."""
    seen: list[Any] = []
    event.listen(
        engine,
        "before_cursor_execute",
        lambda *args: seen.append(args[4].execution_options.get("yield_per")),
    )
    with Session(engine) as session:
        fetch(session, PostCard, select(Post).execution_options(yield_per=2))
        assert seen == [2, None]
        seen.clear()
        assert len(list(stream_views(session, PostCard, select(Post), batch_size=3))) == 2
        assert seen == [3, None, None]


def test_a_tree_is_filtered_at_every_level(engine: Engine) -> None:
    """Self-referential levels are statements of the class itself."""
    with tenants_apart(engine, Node, Node.id != 2) as session:
        [root] = fetch(session, Tree, select(Node).where(Node.id == 1))
    assert root == Tree("root", (Tree("right", ()),))


@dataclass(frozen=True, slots=True)
class Tree:
    name: str
    children: Annotated[tuple[Tree, ...], Path(Node.children, depth=3)]
