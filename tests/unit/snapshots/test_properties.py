"""For random graphs: the snapshot is what the entities are, and nobody can change it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import JSON, Column, ForeignKey, Table, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from sqlalchemy.pool import StaticPool

from sqla_safe import FrozenSnapshotError, dumps, is_snapshot, loads, snapshot, to_dict
from tests.unit.snapshots.support import pickled, sent


class Base(DeclarativeBase):
    """The tables of the graph."""


links = Table(
    "links",
    Base.metadata,
    Column("one_id", ForeignKey("vertex.id"), primary_key=True),
    Column("other_id", ForeignKey("vertex.id"), primary_key=True),
)


class Vertex(Base):
    """Has a parent, children, friends in both directions, labels and a document."""

    __tablename__ = "vertex"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    document: Mapped[Any] = mapped_column(JSON)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("vertex.id"))
    parent: Mapped[Vertex | None] = relationship(back_populates="children", remote_side="Vertex.id")
    children: Mapped[list[Vertex]] = relationship(back_populates="parent", order_by="Vertex.id")
    friends: Mapped[set[Vertex]] = relationship(
        secondary=links,
        primaryjoin="Vertex.id == links.c.one_id",
        secondaryjoin="Vertex.id == links.c.other_id",
        back_populates="friend_of",
    )
    friend_of: Mapped[set[Vertex]] = relationship(
        secondary=links,
        primaryjoin="Vertex.id == links.c.other_id",
        secondaryjoin="Vertex.id == links.c.one_id",
        back_populates="friends",
    )
    labels: Mapped[list[Label]] = relationship(back_populates="vertex", order_by="Label.id")


class Label(Base):
    __tablename__ = "label"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    vertex_id: Mapped[int | None] = mapped_column(ForeignKey("vertex.id"))
    vertex: Mapped[Vertex | None] = relationship(back_populates="labels")


DOCUMENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
RELATIONS = ("parent", "children", "friends", "friend_of", "labels")
PATHS = [getattr(Vertex, name) for name in RELATIONS] + [Label.vertex]


@st.composite
def graphs(draw) -> list[dict[str, Any]]:
    """Describe up to eight vertices, by the numbers of what they are related to."""
    size = draw(st.integers(1, 8))
    number = st.integers(1, size)
    return [
        {
            "name": draw(NAMES),
            "document": draw(DOCUMENTS),
            "parent": draw(st.none() | number),
            "friends": draw(st.sets(number, max_size=3)),
            "labels": draw(st.lists(NAMES, max_size=2)),
        }
        for _ in range(size)
    ]


def build(session: Session, graph: list[dict[str, Any]]) -> None:
    """Store what was described; by plain inserts, since a parent may be its own."""
    vertices = [
        {
            "id": number,
            **{key: one[key] for key in ("name", "document")},
            "parent_id": one["parent"],
        }
        for number, one in enumerate(graph, 1)
    ]
    session.execute(Vertex.__table__.insert(), vertices)
    pairs = [
        {"one_id": number, "other_id": other}
        for number, one in enumerate(graph, 1)
        for other in one["friends"]
    ]
    if pairs:
        session.execute(links.insert(), pairs)
    session.add_all(
        Label(text=text, vertex_id=number)
        for number, one in enumerate(graph, 1)
        for text in one["labels"]
    )
    session.commit()


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    """Give one database for all examples; each begins with empty tables."""
    made = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(made)
    yield made
    made.dispose()


class Example:
    """A stored graph, its loaded entities, and their snapshots."""

    def __init__(self, session: Session, graph: list[dict[str, Any]], paths: list[Any]) -> None:
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(table.delete())
        build(session, graph)
        query = select(Vertex).order_by(Vertex.id)
        self.session = session
        self.live = session.scalars(query).all()
        self.shown = snapshot(self.live, *paths)


def walk(roots: Any) -> Iterator[tuple[Any, str, Any]]:
    """Visit each snapshot once, with everything that it holds."""
    todo, seen = list(roots), set()
    while todo:
        one = todo.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        for name in held_names(one):
            value = getattr(one, name)
            yield one, name, value
            if is_snapshot(value):
                todo.append(value)
            elif name in RELATIONS:
                todo += [] if value is None else list(value)


def held_names(one: Any) -> list[str]:
    """Name what a snapshot of a vertex or a label holds."""
    return list(to_dict(one))


def thawed(value: Any) -> Any:
    """Give plain JSON of a frozen value."""
    if isinstance(value, Mapping):
        return {key: thawed(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [thawed(item) for item in value]
    return value


def immutable(value: Any) -> bool:
    """Tell whether nothing in a value can be changed."""
    if isinstance(value, dict):
        with pytest.raises(FrozenSnapshotError):
            value["new"] = 1
        return all(immutable(item) for item in value.values())
    if isinstance(value, (tuple, frozenset)):
        return all(immutable(item) for item in value)
    return is_snapshot(value) or isinstance(value, (str, int, float, bool, type(None)))


graph_and_paths = given(graphs(), st.lists(st.sampled_from(PATHS), unique=True))
full = settings(max_examples=60, database=None)


@full
@graph_and_paths
def test_values_are_the_entities(engine, graph, paths):
    """Columns and relationships, all that is captured."""
    with Session(engine) as session:
        example = Example(session, graph, paths)
        live = {
            (type(one), one.id): one for one in [*example.live, *session.scalars(select(Label))]
        }
        for one, name, value in walk(example.shown):
            entity = live[Label if isinstance(one, Label) else Vertex, one.id]
            theirs = getattr(entity, name)
            if is_snapshot(value):
                assert value.id == theirs.id
            elif name in RELATIONS and value is not None:
                assert sorted(item.id for item in value) == sorted(item.id for item in theirs)
                assert isinstance(value, (frozenset if isinstance(theirs, set) else tuple))
            else:
                assert thawed(value) == theirs


@full
@graph_and_paths
def test_one_entity_is_one_snapshot(engine, graph, paths):
    """Wherever it is reached from."""
    with Session(engine) as session:
        example = Example(session, graph, paths)
        found: dict[Any, Any] = {}
        for one, _, _ in walk(example.shown):
            key = isinstance(one, Label), one.id
            assert found.setdefault(key, one) is one
        assert [one.id for one in example.shown] == [one.id for one in example.live]


@full
@graph_and_paths
def test_nothing_that_is_reachable_can_be_changed(engine, graph, paths):
    """No list, no dict, no set, no entity."""
    with Session(engine) as session:
        example = Example(session, graph, paths)
        for one, name, value in walk(example.shown):
            assert is_snapshot(one)
            assert immutable(value)
            with pytest.raises(FrozenSnapshotError):
                setattr(one, name, None)


@full
@graph_and_paths
def test_what_was_named_is_held(engine, graph, paths):
    """By every object that has the attribute."""
    wanted = {path.key for path in paths if path.class_ is Vertex}
    with Session(engine) as session:
        shown = {id(one): one for one, _, _ in walk(Example(session, graph, paths).shown)}
        for one in shown.values():
            if isinstance(one, Vertex):
                assert wanted <= set(held_names(one))


@full
@graph_and_paths
def test_round_trips_are_equal(engine, graph, paths):
    """By pickle, by msgpack and by JSON."""
    with Session(engine) as session:
        shown = Example(session, graph, paths).shown
    assert pickled(shown) == shown
    assert loads(tuple[Vertex, ...], dumps(shown)) == shown
    assert loads(tuple[Vertex, ...], dumps(shown, format="json")) == shown


@full
@graph_and_paths
def test_round_trips_keep_identity(engine, graph, paths):
    """As many objects come back as went in."""
    with Session(engine) as session:
        shown = Example(session, graph, paths).shown
    count = len({id(one) for one, _, _ in walk(shown)})
    for back in (pickled(shown), loads(tuple[Vertex, ...], dumps(shown))):
        assert len({id(one) for one, _, _ in walk(back)}) == count


@full
@graph_and_paths
def test_changing_the_live_entities_changes_nothing(engine, graph, paths):
    """Columns, collections and JSON in place."""
    with Session(engine, autoflush=False) as session:
        example = Example(session, graph, paths)
        before = pickled(example.shown)
        for one in example.live:
            one.name = "changed"
            if isinstance(one.document, dict):
                one.document["changed"] = 1
            elif isinstance(one.document, list):
                one.document.append("changed")
            one.friends.clear()
            one.children.append(Vertex(name="new", document=None))
        assert example.shown == before


@full
@graph_and_paths
def test_two_snapshots_of_one_state_are_equal(engine, graph, paths):
    """And their hashes are."""
    with Session(engine) as session:
        example = Example(session, graph, paths)
        again = snapshot(example.live, *paths)
        assert again == example.shown
        assert list(map(hash, again)) == list(map(hash, example.shown))


@full
@graph_and_paths
def test_a_second_snapshot_sends_nothing(engine, graph, paths):
    """The first has loaded all that was missing."""
    with Session(engine) as session:
        example = Example(session, graph, paths)
        with sent() as statements:
            snapshot(example.live, *paths)
        assert statements == []


@full
@given(graphs(), st.permutations(PATHS), st.permutations(PATHS))
def test_the_order_of_the_paths_changes_nothing(engine, graph, one, other):
    """Neither the result nor the number of statements."""
    with Session(engine) as session:
        with sent() as first:
            shown = Example(session, graph, one).shown
        session.expunge_all()
        with sent() as second:
            again = Example(session, graph, other).shown
        assert shown == again
        assert len(first) == len(second)
