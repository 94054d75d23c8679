"""Mapped classes of every make can be frozen, and keep their habits."""

from __future__ import annotations

import copy
import dataclasses
import enum
import json

import attrs
import pytest
from sqlalchemy import inspect, select
from sqlalchemy.orm import class_mapper, load_only

from sqla_safe import FrozenSnapshotError, NotLoadedError, replace, snapshot, write_back
from tests.unit.snapshots.models.classes import (
    AbstractMeta,
    Card,
    Coin,
    Comment,
    Dog,
    EqualStamp,
    Iterable,
    Old,
    Plain,
    PlainChild,
    Registered,
    Simple,
    Slug,
    Speaker,
    Stamp,
    Strict,
    WithDunders,
    WithGetattr,
    WithMixin,
)
from tests.unit.snapshots.support import pickled


def frozen_first(session, entity, *paths):
    """Freeze the only row of a class."""
    return snapshot(session.scalars(select(entity)).one(), *paths)


# --- dataclasses ------------------------------------------------------------------------------


@pytest.fixture
def card(store):
    """Give a mapped dataclass with a comment."""
    made = Card(id=1, title="title", tags=["a", "b"])
    made.comments.append(Comment(id=1, text="nice"))
    return store(made).get_one(Card, 1)


def test_a_mapped_dataclass_is_frozen(card):
    """With its columns and relationships."""
    shown = snapshot(card, Card.comments)
    assert (shown.title, shown.tags, shown.comments[0].text) == ("title", ("a", "b"), "nice")


def test_a_mapped_dataclass_cannot_be_changed(card):
    """Although its class says otherwise."""
    with pytest.raises(FrozenSnapshotError):
        snapshot(card).title = "other"


def test_a_mapped_dataclass_is_still_one(card):
    """`dataclasses.is_dataclass` says so."""
    assert dataclasses.is_dataclass(snapshot(card))


def test_a_cycle_of_dataclasses_is_kept(card):
    """The equality of dataclasses, which would not end, is not used."""
    shown = snapshot(card, Card.comments)
    assert shown.comments[0].card is shown


def test_snapshots_of_dataclasses_are_equal(card):
    """By their state."""
    assert snapshot(card, Card.comments) == snapshot(card, Card.comments)


def test_a_snapshot_of_a_dataclass_can_be_hashed(card):
    """A dataclass with `eq` could not."""
    assert len({snapshot(card), snapshot(card)}) == 1


def test_a_dataclass_with_a_hash_of_its_own(store):
    """The snapshot's goes before."""
    shown = frozen_first(store(Coin(id=1, cents=5)), Coin)
    assert hash(shown) == hash(frozen_first(store(Coin(id=1, cents=5)), Coin))


def test_keyword_only_fields_are_no_matter(card):
    """No constructor is called."""
    assert snapshot(card, Card.comments).comments[0].id == 1


def test_an_unmapped_field_of_a_dataclass_reads(card):
    """A row from the database has its default."""
    assert snapshot(card).session_note == "unmapped"


def test_an_unmapped_field_that_was_set_is_kept(card):
    """It belongs to the dataclass."""
    card.session_note = "set"
    assert snapshot(card).session_note == "set"


def test_an_unmapped_field_is_not_shared(card):
    """Lists in it are frozen."""
    card.scratch = [1]
    shown = snapshot(card)
    card.scratch.append(2)
    assert shown.scratch == (1,)


def test_a_snapshot_of_a_dataclass_can_be_pickled(card):
    """With its cycle."""
    shown = snapshot(card, Card.comments)
    assert pickled(shown) == shown


# --- imperative -------------------------------------------------------------------------------


@pytest.fixture
def plain(store):
    """Give an imperatively mapped entity."""
    made = Plain("name")
    made.id = 1
    setattr(made, "odd name!", "odd")
    setattr(made, "__hidden", "hidden")
    setattr(made, "class", "keyword")
    made.children = [PlainChild()]
    return store(made).get_one(Plain, 1)


def test_an_imperatively_mapped_class_is_frozen(plain):
    """Its own methods work."""
    assert snapshot(plain).shout() == "NAME"


@pytest.mark.parametrize(
    ("name", "value"),
    [("odd name!", "odd"), ("__hidden", "hidden"), ("class", "keyword")],
    ids=["spaces", "underscores", "keyword"],
)
def test_attribute_names_of_any_kind_read(plain, name, value):
    """Those that are no identifiers, two underscores, and keywords."""
    assert getattr(snapshot(plain), name) == value


@pytest.mark.parametrize("name", ["odd name!", "__hidden", "class"])
def test_attribute_names_of_any_kind_cannot_be_set(plain, name):
    """They are as frozen as others."""
    with pytest.raises(FrozenSnapshotError):
        setattr(snapshot(plain), name, "other")


@pytest.mark.parametrize("name", ["odd name!", "__hidden", "class"])
def test_attribute_names_of_any_kind_can_be_replaced(plain, name):
    """With keywords out of a dict."""
    assert getattr(replace(snapshot(plain), **{name: "new"}), name) == "new"


def test_attribute_names_of_any_kind_are_pickled(plain):
    """And are equal afterwards."""
    shown = snapshot(plain)
    assert getattr(pickled(shown), "odd name!") == "odd"


def test_an_attribute_of_any_name_can_be_missing(plain):
    """The error names it as it is."""
    session = inspect(plain).session
    session.expunge_all()
    loaded = session.scalars(select(Plain).options(load_only(Plain.name))).one()
    with pytest.raises(NotLoadedError, match=r"Plain\.odd name!"):
        getattr(snapshot(loaded), "odd name!")


def test_an_imperative_relationship_is_a_path(plain):
    """In both directions."""
    shown = snapshot(plain, Plain.children)
    assert shown.children[0].parent is shown


# --- attrs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Stamp, EqualStamp], ids=["identity", "equality"])
def test_an_attrs_class_is_frozen(store, kind):
    """Mapped imperatively."""
    shown = frozen_first(store(kind(id=1, label="blue")), kind)
    assert (shown.label, attrs.has(type(shown))) == ("blue", True)


@pytest.mark.parametrize("kind", [Stamp, EqualStamp], ids=["identity", "equality"])
def test_an_attrs_class_has_the_equality_of_snapshots(store, kind):
    """And a hash."""
    shown = frozen_first(store(kind(id=1, label="blue")), kind)
    again = frozen_first(store(kind(id=1, label="blue")), kind)
    assert shown == again
    assert hash(shown) == hash(again)


@pytest.mark.parametrize("kind", [Stamp, EqualStamp], ids=["identity", "equality"])
def test_an_attrs_class_cannot_be_changed(store, kind):
    """Its setters are not called."""
    shown = frozen_first(store(kind(id=1, label="blue")), kind)
    with pytest.raises(FrozenSnapshotError):
        shown.label = "red"


def test_an_unmapped_field_of_an_attrs_class_is_kept(store):
    """As it is for dataclasses."""
    stamp = store(Stamp(id=1, label="blue")).get_one(Stamp, 1)
    stamp.extra = "set"
    assert snapshot(stamp).extra == "set"


# --- SQLModel ---------------------------------------------------------------------------------


def test_a_sqlmodel_is_frozen(store):
    """Columns and relationships."""
    pytest.importorskip("sqlmodel")
    from tests.unit.snapshots.models import heroes

    shown = frozen_first(store(heroes.league()), heroes.League, heroes.League.heroes)
    assert [hero.name for hero in shown.heroes] == ["Bat", "Cat"]


def test_a_sqlmodel_cannot_be_changed(store):
    """Pydantic's own setter is not asked."""
    pytest.importorskip("sqlmodel")
    from tests.unit.snapshots.models import heroes

    shown = frozen_first(store(heroes.league()), heroes.League)
    with pytest.raises(FrozenSnapshotError):
        shown.name = "other"


def test_a_sqlmodel_keeps_its_cycle_and_methods(store):
    """And its properties."""
    pytest.importorskip("sqlmodel")
    from tests.unit.snapshots.models import heroes

    shown = frozen_first(store(heroes.league()), heroes.League, heroes.League.heroes)
    assert shown.heroes[0].league is shown
    assert shown.loud() == "LEAGUE"


def test_a_sqlmodel_s_missing_relationship_is_named(store):
    """As for others."""
    pytest.importorskip("sqlmodel")
    from tests.unit.snapshots.models import heroes

    shown = frozen_first(store(heroes.league()), heroes.League)
    with pytest.raises(NotLoadedError, match=r"League\.heroes"):
        _ = shown.heroes


def test_a_sqlmodel_snapshot_is_equal_hashable_and_pickled(store):
    """Pydantic's equality would compare dicts."""
    pytest.importorskip("sqlmodel")
    from tests.unit.snapshots.models import heroes

    shown = frozen_first(store(heroes.league()), heroes.League, heroes.League.heroes)
    assert pickled(shown) == shown
    assert hash(pickled(shown)) == hash(shown)
    assert copy.deepcopy(shown) == shown
    assert copy.copy(shown) == shown


def test_a_sqlmodel_has_a_repr(store):
    """The snapshot's."""
    pytest.importorskip("sqlmodel")
    from tests.unit.snapshots.models import heroes

    shown = frozen_first(store(heroes.league()), heroes.League)
    assert repr(shown) == "<League snapshot id=1>"


def test_a_sqlmodel_is_dumped_as_the_entity(store):
    """By every method of pydantic's that gives the data."""
    pytest.importorskip("sqlmodel")
    from tests.unit.snapshots.models import heroes

    live = store(heroes.league()).get_one(heroes.League, 1)
    assert snapshot(live).model_dump() == live.model_dump() == {"id": 1, "name": "League"}


def test_a_sqlmodel_is_dumped_as_the_entity_s_json(store):
    """For an answer over HTTP."""
    pytest.importorskip("sqlmodel")
    from tests.unit.snapshots.models import heroes

    live = store(heroes.league()).get_one(heroes.League, 1)
    assert json.loads(snapshot(live).model_dump_json()) == json.loads(live.model_dump_json())


def test_a_sqlmodel_is_turned_into_a_dict_as_the_entity(store):
    """Pydantic models can be iterated over."""
    pytest.importorskip("sqlmodel")
    from tests.unit.snapshots.models import heroes

    live = store(heroes.league()).get_one(heroes.League, 1)
    assert dict(snapshot(live)) == {"id": 1, "name": "League"}


def test_a_sqlmodel_is_serialised_by_pydantic(store):
    """As the response model of a web framework does."""
    pydantic = pytest.importorskip("pydantic")
    pytest.importorskip("sqlmodel")
    from tests.unit.snapshots.models import heroes

    live = store(heroes.league()).get_one(heroes.League, 1)
    dumped = pydantic.TypeAdapter(heroes.League).dump_python(snapshot(live))
    assert dumped == {"id": 1, "name": "League"}


def test_a_sqlmodel_knows_which_fields_are_set(store):
    """Those that were captured."""
    pytest.importorskip("sqlmodel")
    from tests.unit.snapshots.models import heroes

    live = store(heroes.league()).get_one(heroes.League, 1)
    assert snapshot(live).model_fields_set == {"id", "name"}


def test_a_sqlmodel_has_the_text_of_the_entity(store):
    """Of pydantic's making."""
    pytest.importorskip("sqlmodel")
    from tests.unit.snapshots.models import heroes

    live = store(heroes.league()).get_one(heroes.League, 1)
    assert str(snapshot(live)) == "id=1 name='League'"


# --- other bases ------------------------------------------------------------------------------


def test_a_legacy_declarative_class_is_frozen(store):
    """`declarative_base()`, without annotations."""
    old = Old(id=1, name="old", children=[Old(id=2, name="child")])
    shown = snapshot(store(old).get_one(Old, 1), Old.children)
    assert (shown.name, shown.children[0].name) == ("old", "child")


def test_a_base_without_a_metaclass(store):
    """`DeclarativeBaseNoMeta`."""
    assert frozen_first(store(Simple(id=1, name="a")), Simple).name == "a"


def test_a_mixin_with_slots(store):
    """Its methods are there."""
    shown = frozen_first(store(WithMixin(id=1, name="a")), WithMixin)
    assert (shown.name, shown.from_mixin()) == ("a", "mixin")


def test_an_abc_base_with_its_metaclass(store):
    """`isinstance` and methods."""
    shown = frozen_first(store(Dog(id=1, name="Rex")), Dog)
    assert isinstance(shown, Speaker)
    assert shown.speak() == "Rex barks"
    assert isinstance(type(shown), AbstractMeta)


def test_the_frozen_class_is_no_mapped_class(store):
    """No second mapper for the table."""
    shown = frozen_first(store(Simple(id=1, name="a")), Simple)
    assert list(class_mapper(Simple).self_and_descendants) == [class_mapper(Simple)]
    assert inspect(type(shown), raiseerr=False) is not class_mapper(Simple)


def test_a_hook_for_subclasses_is_not_called(store):
    """The frozen class is not registered anywhere."""
    frozen_first(store(Registered(id=1, name="a")), Registered)
    assert Registered.seen == []


def test_the_frozen_class_is_made_once(store):
    """Two snapshots have one type."""
    session = store(Simple(id=1, name="a"), Simple(id=2, name="b"))
    one, two = snapshot(session.scalars(select(Simple)).all())
    assert type(one) is type(two)


def test_no_constructor_is_called(store):
    """Its side effects do not happen."""
    session = store(Strict("a"))
    before = len(Strict.made)
    assert frozen_first(session, Strict).name == "a"
    assert len(Strict.made) == before


# --- habits -----------------------------------------------------------------------------------


def test_the_user_s_getattr_is_asked_for_what_is_not_mapped(store):
    """As it is on the entity."""
    assert frozen_first(store(WithGetattr(id=1, name="a")), WithGetattr).magic_word == "word"


def test_the_user_s_getattr_is_not_asked_for_what_is_missing(store):
    """Not captured is not captured."""
    with pytest.raises(NotLoadedError):
        _ = frozen_first(store(WithGetattr(id=1, name="a")), WithGetattr).late


def test_the_user_s_getattr_may_refuse(store):
    """With its own error."""
    with pytest.raises(AttributeError):
        _ = frozen_first(store(WithGetattr(id=1, name="a")), WithGetattr).other


def test_entities_that_refuse_to_be_compared(store):
    """They are told apart by identity."""
    owned = [WithDunders(id=2, name="b"), WithDunders(id=3, name="c")]
    session = store(WithDunders(id=1, name="a", owned=owned))
    shown = snapshot(session.get_one(WithDunders, 1), WithDunders.owned)
    assert [one.name for one in shown.owned] == ["b", "c"]


def test_an_entity_that_is_false_is_there(store):
    """`if entity` is not how it is looked for."""
    owned = [WithDunders(id=2, name="b")]
    root = store(WithDunders(id=1, name="a", owned=owned)).get_one(WithDunders, 1)
    assert snapshot(root, WithDunders.owned).owned[0].name == "b"


def test_the_user_s_dunders_work(store):
    """Truth, length, items and calls are the entity's."""
    shown = frozen_first(store(WithDunders(id=1, name="a")), WithDunders)
    assert (bool(shown), len(shown), shown["x"], "a" in shown, shown()) == (
        False,
        0,
        "a[x]",
        True,
        "called a",
    )


def test_snapshots_compare_although_the_entities_refuse_to(store):
    """Equality is the snapshot's."""
    session = store(WithDunders(id=1, name="a"))
    assert frozen_first(session, WithDunders) == frozen_first(session, WithDunders)


def test_an_entity_that_is_iterable_is_one_entity(store):
    """Not an iterable of entities."""
    shown = frozen_first(store(Iterable(id=1, text="abc")), Iterable)
    assert shown.text == "abc"
    assert list(shown) == ["a", "b", "c"]


def test_a_snapshot_that_is_iterable_is_one_snapshot(store):
    """The same for what was frozen before."""
    shown = frozen_first(store(Iterable(id=1, text="abc")), Iterable)
    assert snapshot(shown) is shown


def test_attributes_named_like_inner_ones(store):
    """Nothing of the snapshot's own stands in their way."""
    names = ("entity", "plan", "key", "items", "values")
    shown = frozen_first(store(Slug(id=1, **{name: name for name in names})), Slug)
    assert [getattr(shown, name) for name in names] == list(names)


def test_an_unmapped_enum_is_kept_whatever_came_before(store):
    """No column need have held one."""

    class Mood(enum.Enum):
        GOOD = 1

    card = store(Card(id=1, title="t")).get_one(Card, 1)
    card.session_note = Mood.GOOD
    assert snapshot(card).session_note is Mood.GOOD


def test_unmapped_fields_are_pickled(card):
    """They are part of what was captured."""
    card.session_note, card.scratch = "set", [1]
    back = pickled(snapshot(card))
    assert (back.session_note, back.scratch) == ("set", (1,))


def test_unmapped_fields_survive_write_back(card):
    """The result is `changed`, with another version at most."""
    card.session_note = "set"
    base = snapshot(card)
    stored = write_back(inspect(card).session, replace(base, title="new"), base=base)
    assert (stored.title, stored.session_note) == ("new", "set")
