"""What a snapshot costs, in statements, and that no getter of an entity is called."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from sqlalchemy import Text, TypeDecorator, event, select
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    joinedload,
    lazyload,
    mapped_column,
    selectinload,
    with_loader_criteria,
)

from sqla_safe import DeletedEntityError, snapshot
from tests.unit.snapshots.models.eager import Leaf, Middle, Other, Top
from tests.unit.snapshots.models.gallery import Avatar, Photo, Tag, Team, User, lisa, many
from tests.unit.snapshots.models.trees import Node, chain
from tests.unit.snapshots.support import sent

SIZES = [1, 10, 200]


class Base(DeclarativeBase):
    """The table of the touchy."""


class Touchy(Base):
    """Whatever is read of it raises."""

    __tablename__ = "touchy"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]

    @property
    def plain(self) -> str:
        """Must not be read."""
        raise AssertionError

    @hybrid_property
    def hybrid(self) -> str:
        """Must not be read."""
        raise AssertionError

    def __getattribute__(self, name: str) -> Any:
        if name in {"id", "name", "plain", "hybrid"}:
            raise AssertionError(name)
        return super().__getattribute__(name)

    def __hash__(self) -> int:
        raise AssertionError

    def __eq__(self, other: object) -> bool:
        raise AssertionError

    def __bool__(self) -> bool:
        raise AssertionError

    def __repr__(self) -> str:
        raise AssertionError


@pytest.mark.parametrize("size", SIZES)
def test_freezing_what_is_loaded_sends_nothing(store, size):
    """Whatever the number of roots."""
    options = selectinload(User.avatars).selectinload(Avatar.photos)
    users = store(*many(size)).scalars(select(User).options(options)).all()
    with sent() as statements:
        assert len(snapshot(users)) == size
    assert statements == []


@pytest.mark.parametrize("size", SIZES)
def test_one_path_is_one_statement(store, size):
    """Whatever the number of roots."""
    users = store(*many(size)).scalars(select(User)).all()
    with sent() as statements:
        shown = snapshot(users, User.avatars)
    assert len(statements) == 1
    assert {len(user.avatars) for user in shown} == {2}


@pytest.mark.parametrize("size", SIZES)
def test_two_levels_are_two_statements(store, size):
    """One per path."""
    users = store(*many(size)).scalars(select(User)).all()
    with sent() as statements:
        shown = snapshot(users, User.avatars, Avatar.photos)
    assert len(statements) == 2
    assert {len(avatar.photos) for user in shown for avatar in user.avatars} == {1}


@pytest.mark.parametrize("size", SIZES)
def test_five_paths_are_five_statements(store, size):
    """A column, a many-to-one, a many-to-many and two levels."""
    users = store(*many(size)).scalars(select(User)).all()
    with sent() as statements:
        snapshot(users, User.avatars, Avatar.photos, User.tags, User.team, User.bio)
    assert len(statements) == 5


@pytest.mark.parametrize(
    "order",
    list(permutations((User.avatars, Avatar.photos, Photo.avatar))),
    ids=lambda order: "-".join(f"{path.class_.__name__}.{path.key}" for path in order),
)
def test_the_order_of_the_paths_does_not_matter(store, order):
    """Levels are loaded from the top."""
    users = store(*many(10)).scalars(select(User)).all()
    with sent() as statements:
        shown = snapshot(users, *order)
    assert len(statements) == 2  # the way back needs none
    assert shown[0].avatars[0].photos[0].avatar is shown[0].avatars[0]


def test_a_path_that_is_given_twice_is_loaded_once(store):
    """The same statement would bring the same rows."""
    users = store(*many(3)).scalars(select(User)).all()
    with sent() as statements:
        snapshot(users, User.avatars, User.avatars)
    assert len(statements) == 1


def test_a_root_that_is_given_twice_is_loaded_once(store):
    """Its key is in the statement once, or its row at least comes once."""
    user = store(lisa()).get_one(User, 1)
    with sent() as statements:
        one, two = snapshot([user, user], User.avatars)
    assert len(statements) == 1
    assert one is two


def test_the_way_back_costs_nothing(store):
    """Parents are found by their keys."""
    users = store(*many(10)).scalars(select(User)).all()
    with sent() as statements:
        shown = snapshot(users, User.avatars, Avatar.user)
    assert len(statements) == 1
    assert all(avatar.user is user for user in shown for avatar in user.avatars)


def test_a_path_without_entities_costs_nothing(store):
    """No avatars, no photos to ask for."""
    users = store(User(name="a")).scalars(select(User)).all()
    with sent() as statements:
        snapshot(users, User.avatars, Avatar.photos)
    assert len(statements) == 1


def test_a_tree_costs_one_statement_per_level(store):
    """Each level is only known when the one above is there."""
    root = store(chain(6)).get_one(Node, 1)
    with sent() as statements:
        snapshot(root, Node.children)
    assert len(statements) == 6


def test_a_wide_tree_costs_what_a_chain_costs(store):
    """Forty nodes on a level are one statement."""
    children = [
        Node(name="child", children=[Node(name="leaf") for _ in range(4)]) for _ in range(10)
    ]
    root = store(Node(id=1, name="root", children=children)).get_one(Node, 1)
    with sent() as statements:
        shown = snapshot(root, Node.children)
    assert len(statements) == 3
    assert sum(len(child.children) for child in shown.children) == 40


def test_a_cycle_of_paths_comes_to_its_end(store):
    """Users -> team -> members -> team ..."""
    users = store(*many(5)).scalars(select(User)).all()
    with sent() as statements:
        snapshot(users, User.team, Team.members)
    assert len(statements) == 2


def test_a_many_to_many_cycle_comes_to_its_end(store):
    """Users -> tags -> users -> tags ..."""
    users = store(*many(5)).scalars(select(User)).all()
    with sent() as statements:
        snapshot(users, User.tags, Tag.users)
    assert len(statements) == 2


def test_a_loader_option_costs_what_it_costs(store):
    """One statement for the roots, and those of the option."""
    users = store(*many(10)).scalars(select(User)).all()
    with sent() as statements:
        shown = snapshot(users, selectinload(User.avatars).selectinload(Avatar.photos))
    assert len(statements) == 3
    assert len(shown[0].avatars[0].photos) == 1


def test_a_joined_loader_option_is_one_statement(store):
    """The join is the user's choice."""
    users = store(*many(10)).scalars(select(User)).all()
    with sent() as statements:
        shown = snapshot(users, joinedload(User.avatars))
    assert len(statements) == 1
    assert len(shown[9].avatars) == 2


def test_a_loader_option_and_a_path_go_together(store):
    """The option first, then what is still missing."""
    users = store(*many(10)).scalars(select(User)).all()
    with sent() as statements:
        snapshot(users, joinedload(User.avatars), Avatar.photos)
    assert len(statements) == 2


def test_an_option_with_criteria_is_used_as_it_is(store):
    """The snapshot holds what the option loaded, and nothing is changed in the database."""
    user = store(lisa()).get_one(User, 1)
    shown = snapshot(user, selectinload(User.avatars.and_(Avatar.name == "Mona")))
    assert [avatar.name for avatar in shown.avatars] == ["Mona"]


def test_a_path_does_not_follow_the_mapping_s_own_eager_loading(store):
    """Nothing else is loaded with it."""
    users = store(*many(3)).scalars(select(User)).all()
    with sent() as statements:
        snapshot(users, User.bio)
    assert len(statements) == 1
    assert "JOIN" not in statements[0]


def test_a_path_of_a_relationship_selects_no_columns_of_the_root(store):
    """Only its key: the rest is there."""
    users = store(*many(3)).scalars(select(User)).all()
    with sent() as statements:
        snapshot(users, User.avatars)
    assert "user.name" not in statements[0].split("FROM")[0]


def test_nothing_of_an_entity_is_read(store):
    """No property, hybrid or column attribute, no hash, truth or equality."""
    session = store(Touchy(id=1, name="a"), Touchy(id=2, name="b"))
    rows = session.execute(select(Touchy)).scalars().all()
    with sent() as statements:
        shown = snapshot(rows)
    assert (len(shown), statements) == (2, [])


def test_no_load_event_is_fired(store):
    """Listeners of lazy loads and refreshes hear nothing."""
    users = store(*many(3)).scalars(select(User)).all()
    heard: list[object] = []

    def hear(*_: object) -> None:
        heard.append("refresh")

    event.listen(User, "refresh", hear)
    snapshot(users)
    event.remove(User, "refresh", hear)
    assert heard == []


def test_result_processors_do_not_run_again(store):
    """Values come from the entity, not from the database."""
    runs: list[object] = []

    class Loud(TypeDecorator[str]):
        impl = Text
        cache_ok = True

        def process_result_value(self, value: Any, _dialect: Any) -> Any:
            runs.append(value)
            return value

    class LoudBase(DeclarativeBase):
        pass

    class Loudly(LoudBase):
        __tablename__ = "loudly"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[Any] = mapped_column(Loud)

    entity = store(Loudly(id=1, name="a")).get_one(Loudly, 1)
    before = len(runs)
    assert snapshot(entity).name == "a"
    assert len(runs) == before


def test_a_path_flushes_as_any_query_does(store):
    """Pending changes are seen by the statement."""
    session = store(lisa())
    user = session.get_one(User, 1)
    session.add(Avatar(id=9, name="new", user_id=1))
    assert [avatar.id for avatar in snapshot(user, User.avatars).avatars] == [1, 2, 9]


def test_more_roots_than_a_statement_takes_are_split(store):
    """SQLite has a limit of parameters; beyond it there are two statements."""
    session = store(lisa())
    session.connection().exec_driver_sql(
        "WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 33100) "
        "INSERT INTO team (id, name) SELECT i, 'team' FROM n"
    )
    teams = session.scalars(select(Team)).all()
    with sent() as statements:
        shown = snapshot(teams, Team.members)
    assert len(shown) == 33_002
    assert len(statements) == 2


# --- what the mapping or the session adds -----------------------------------------------------


def test_eager_relationships_of_the_root_are_not_loaded_with_a_path(store):
    """They were loaded with the root, or left out by its query."""
    session = store(Top(id=1, others=[Other()]))
    top = session.scalars(select(Top).options(lazyload(Top.others))).one()
    with sent() as statements:
        snapshot(top, Top.name, Top.middles)
    assert len(statements) == 1


def test_eager_relationships_of_the_target_are_the_mapping_s_choice(store):
    """What the mapping loads with each Middle is held, in a number that does not grow."""
    counts = set()
    for size in (1, 20):
        middles = [Middle(joined=[Leaf()], selected=[Other()]) for _ in range(size)]
        top = store(Top(id=1, middles=middles)).get_one(Top, 1)
        with sent() as statements:
            snapshot(top, Top.middles)
        counts.add(len(statements))
    assert len(counts) == 1
    assert max(counts) <= 4


def test_an_expired_entity_is_loaded_without_its_eager_relationships(store):
    """Expired columns are one statement."""
    session = store(Top(id=1, others=[Other()]))
    top = session.get_one(Top, 1)
    session.commit()
    with sent() as statements:
        snapshot(top)
    assert len(statements) == 1


def test_criteria_of_the_session_hold_for_paths(store):
    """A tenant filter, for example."""
    session = store(lisa())

    def only_mona(state):
        state.statement = state.statement.options(
            with_loader_criteria(Avatar, Avatar.name == "Mona")
        )

    user = session.get_one(User, 1)
    event.listen(session, "do_orm_execute", only_mona)
    assert [avatar.name for avatar in snapshot(user, User.avatars).avatars] == ["Mona"]


def test_a_root_that_the_session_may_not_see_any_more(store):
    """Its path cannot be loaded, which is not the same as empty."""
    session = store(lisa())

    def nobody(state):
        state.statement = state.statement.options(with_loader_criteria(User, User.name == "nobody"))

    user = session.get_one(User, 1)
    event.listen(session, "do_orm_execute", nobody)
    with pytest.raises(DeletedEntityError, match="no row that this session can see"):
        snapshot(user, User.avatars)


def test_a_path_waits_for_entities_that_another_path_brings(store):
    """Photos of the given avatar and of the user's avatars are one statement."""
    session = store(*many(2))
    user = session.get_one(User, 1)
    avatar = session.scalars(select(Avatar).where(Avatar.user_id == 2).limit(1)).one()
    with sent() as statements:
        shown, other = snapshot([user, avatar], Avatar.photos, User.avatars)
    assert len(statements) == 2
    assert len(shown.avatars[0].photos) == len(other.photos) == 1


def test_a_path_three_levels_down_waits_too(store):
    """Photos are brought by avatars, which are brought by users, which are brought by the team."""
    session = store(*many(3))
    team = session.get_one(Team, 1)
    photo = session.get_one(Photo, 1)
    with sent() as statements:
        snapshot([team, photo], Photo.avatar, Avatar.photos, User.avatars, Team.members)
    assert len(statements) <= 5


def test_a_root_whose_row_is_gone_has_no_empty_collection(store):
    """Nobody knows what was in it."""
    session = store(lisa())
    user = session.get_one(User, 1)
    session.connection().exec_driver_sql("DELETE FROM user")
    with pytest.raises(DeletedEntityError, match="no row that this session can see"):
        snapshot(user, User.avatars)


def test_many_roots_whose_rows_are_gone_cost_one_statement(store):
    """None of them is asked for alone."""
    session = store(*many(50))
    users = session.scalars(select(User)).all()
    session.connection().exec_driver_sql("DELETE FROM user")
    with sent() as statements, pytest.raises(DeletedEntityError):
        snapshot(users, User.avatars)
    assert len(statements) == 1
