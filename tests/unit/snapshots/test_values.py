"""Values of columns: equal to the entity's, never shared with it, and nobody can change them."""

from __future__ import annotations

import copy
import datetime as dt
import decimal
import json
import threading
import traceback
import uuid

import msgspec
import pytest
from sqlalchemy import inspect

from sqla_safe import FrozenSnapshotError, SnapshotSourceError, snapshot
from tests.unit.snapshots.models.values import Frozen, Level, Loose, Opaque, Record, Size, record

NESTED = {"theme": "dark", "sizes": [1, {"unit": "px"}], "empty": {}, "none": None}


@pytest.fixture
def frozen(store):
    """Freeze a stored record with the given columns, and give the live one too."""

    def freeze(**columns):
        session = store(record(**columns))
        live = session.get_one(Record, 1)
        return snapshot(live), live

    return freeze


# --- JSON -------------------------------------------------------------------------------------


def test_a_json_object_reads_as_before(frozen):
    """Access by key, nested."""
    shown, _ = frozen(document=NESTED)
    assert shown.document["sizes"][1]["unit"] == "px"


def test_a_json_object_is_a_dict(frozen):
    """A real one."""
    shown, _ = frozen(document=NESTED)
    assert isinstance(shown.document, dict)


def test_a_json_array_becomes_a_tuple(frozen):
    """At any depth."""
    shown, _ = frozen(document=[1, [2, [3]]])
    assert shown.document == (1, (2, (3,)))


@pytest.mark.parametrize("value", [None, True, 7, 1.5, "text", [], {}], ids=repr)
def test_other_json_values_are_equal(frozen, value):
    """Scalars and empty containers."""
    shown, _ = frozen(document=value)
    assert shown.document == (tuple(value) if isinstance(value, list) else value)


def test_a_json_value_is_not_shared(frozen):
    """Changing the live one in place changes nothing."""
    shown, live = frozen(document=NESTED)
    live.document["sizes"][1]["unit"] = "em"
    live.document["sizes"].append(3)
    live.document["new"] = 1
    assert shown.document["sizes"] == (1, {"unit": "px"})
    assert "new" not in shown.document


CHANGES = {
    "setitem": lambda value: value.__setitem__("theme", 1),
    "delitem": lambda value: value.__delitem__("theme"),
    "or": lambda value: value.__ior__({"theme": 1}),
    "clear": lambda value: value.clear(),
    "pop": lambda value: value.pop("theme"),
    "pop_default": lambda value: value.pop("nothing", None),
    "popitem": lambda value: value.popitem(),
    "setdefault": lambda value: value.setdefault("theme", 1),
    "update": lambda value: value.update(theme=1),
    "attribute": lambda value: setattr(value, "theme", 1),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_a_json_object_cannot_be_changed(frozen, change):
    """Every mutator is refused."""
    shown, _ = frozen(document=NESTED)
    with pytest.raises((FrozenSnapshotError, AttributeError)):
        change(shown.document)
    assert shown.document["theme"] == "dark"


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_a_nested_json_object_cannot_be_changed(frozen, change):
    """At any depth."""
    shown, _ = frozen(document=[{"theme": "dark"}])
    with pytest.raises((FrozenSnapshotError, AttributeError)):
        change(shown.document[0])


def test_a_copy_of_a_json_object_can_be_changed(frozen):
    """`.copy()` gives an ordinary dict."""
    shown, _ = frozen(document=NESTED)
    copy = shown.document.copy()
    copy["theme"] = "light"
    assert (copy["theme"], shown.document["theme"]) == ("light", "dark")


def test_a_dict_of_a_json_object_can_be_changed(frozen):
    """`dict(...)` too."""
    shown, _ = frozen(document=NESTED)
    copy = dict(shown.document)
    copy["theme"] = "light"
    assert shown.document["theme"] == "dark"


def test_a_union_with_a_json_object_is_a_new_dict(frozen):
    """`|` changes nothing."""
    shown, _ = frozen(document=NESTED)
    assert (shown.document | {"theme": "light"})["theme"] == "light"


def test_a_json_object_can_be_hashed(frozen):
    """It can be a key."""
    shown, _ = frozen(document=NESTED)
    again, _ = frozen(document=NESTED)
    assert hash(shown.document) == hash(again.document)


def test_a_json_object_unpacks(frozen):
    """`**` takes it."""
    shown, _ = frozen(document={"theme": "dark"})
    assert dict(**shown.document) == {"theme": "dark"}


def test_a_json_object_matches_a_pattern(frozen):
    """`match` takes it for the mapping that it is."""
    shown, _ = frozen(document=NESTED)
    match shown.document:
        case {"theme": theme, "sizes": [first, *_]}:
            assert (theme, first) == ("dark", 1)
        case _:
            pytest.fail("no match")


def test_json_dumps_takes_a_json_object(frozen):
    """Nested, with the standard library."""
    shown, _ = frozen(document=NESTED)
    assert json.loads(json.dumps(shown.document)) == NESTED


def test_msgspec_takes_a_json_object(frozen):
    """JSON and msgpack."""
    shown, _ = frozen(document=NESTED)
    assert msgspec.json.decode(msgspec.json.encode(shown.document)) == NESTED
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(shown.document)) == NESTED


def test_pydantic_takes_a_json_object(frozen):
    """As a dict, in a model."""
    pydantic = pytest.importorskip("pydantic")
    shown, _ = frozen(document=NESTED)
    model = pydantic.create_model("Model", document=(dict[str, object], ...))
    assert json.loads(model(document=shown.document).model_dump_json())["document"] == NESTED


def test_pydantic_reads_a_snapshot_from_attributes(frozen):
    """As it reads an entity."""
    pydantic = pytest.importorskip("pydantic")
    shown, _ = frozen(document=NESTED, ratio=0.5)
    config = pydantic.ConfigDict(from_attributes=True)
    model = pydantic.create_model("Model", __config__=config, ratio=(float, ...))
    assert model.model_validate(shown).ratio == 0.5


# --- mutable extensions -----------------------------------------------------------------------


def test_a_mutable_dict_is_frozen(frozen):
    """No MutableDict comes out."""
    shown, live = frozen(settings={"a": [1]})
    live.settings["a"] = 2
    assert shown.settings == {"a": (1,)}
    with pytest.raises(FrozenSnapshotError):
        shown.settings["a"] = 3


def test_a_mutable_list_becomes_a_tuple(frozen):
    """With its members."""
    shown, live = frozen(history=[{"a": 1}])
    live.history.append(2)
    assert type(shown.history) is tuple
    assert shown.history == ({"a": 1},)


def test_a_mutable_set_becomes_a_frozenset(frozen):
    """With its members."""
    shown, live = frozen(labels={1, 2})
    live.labels.add(3)
    assert type(shown.labels) is frozenset
    assert shown.labels == {1, 2}


def test_a_mutable_class_of_the_user_s_own_is_frozen(frozen):
    """Any mapping becomes the frozen dict."""
    shown, live = frozen(tracked={"a": [1]})
    live.tracked["a"].append(2)
    assert shown.tracked == {"a": (1,)}


def test_the_live_mutable_goes_on_tracking_changes(frozen):
    """Freezing has taken nothing from it."""
    _, live = frozen(settings={"a": 1})
    live.settings["a"] = 2
    assert live in inspect(live).session.dirty


def test_freezing_marks_nothing_as_changed(frozen):
    """The session has nothing to flush afterwards."""
    _, live = frozen(settings={"a": 1}, history=[1], labels={1})
    assert not inspect(live).session.dirty


# --- pickled values and others ----------------------------------------------------------------


def test_a_frozen_dataclass_keeps_its_class(frozen):
    """With what is in it frozen."""
    shown, _ = frozen(anything=Frozen(["a"]))
    assert type(shown.anything) is Frozen
    assert shown.anything.names == ("a",)


def test_a_named_tuple_keeps_its_class(frozen):
    """With what is in it frozen."""
    shown, _ = frozen(anything=Size(3, [4]))
    assert type(shown.anything) is Size
    assert shown.anything == (3, (4,))


def test_a_value_of_an_unknown_class_is_copied(frozen):
    """It may be changed, but nobody shares it with the entity."""
    shown, live = frozen(anything=Opaque([1]))
    live.anything.inner.append(2)
    assert shown.anything == Opaque([1])


def test_a_loose_dataclass_is_not_shared(frozen):
    """A dataclass that is not frozen."""
    shown, live = frozen(anything=Loose(["a"]))
    live.anything.names.append("b")
    assert list(shown.anything.names) == ["a"]


def test_a_tuple_with_a_list_in_it(frozen):
    """An immutable container of mutable things."""
    shown, _ = frozen(anything=([1], {2}))
    assert shown.anything == ((1,), frozenset({2}))


def test_a_value_that_cannot_be_copied_is_refused(store):
    """With the name of the column."""
    session = store(record())
    live = session.get_one(Record, 1)
    live.anything = threading.Lock()
    with pytest.raises(SnapshotSourceError, match=r"Record\.anything"), session.no_autoflush:
        snapshot(live)


def test_a_list_like_an_array_becomes_a_tuple(frozen):
    """What ARRAY columns give."""
    shown, live = frozen(words=["a", "b"])
    live.words.append("c")
    assert shown.words == ("a", "b")


def test_a_bytearray_becomes_bytes(frozen):
    """Bytes that nobody can change."""
    shown, live = frozen(buffer=bytearray(b"abc"))
    live.buffer[0] = 0
    assert shown.buffer == b"abc"
    assert type(shown.buffer) is bytes


VALUES = {
    "level": Level.HIGH,
    "data": b"\x00\xff",
    "amount": decimal.Decimal("1.10"),
    "at": dt.datetime(2024, 2, 29, 12, 30, 1, 5),  # noqa: DTZ001
    "on": dt.date(2024, 2, 29),
    "clock": dt.time(12, 30),
    "lasting": dt.timedelta(days=1, microseconds=5),
    "token": uuid.UUID(int=7),
    "ratio": 0.1,
}


@pytest.mark.parametrize("name", VALUES)
def test_an_immutable_value_is_the_entity_s(frozen, name):
    """The very object: nobody can change it."""
    shown, live = frozen(**VALUES)
    assert getattr(shown, name) is getattr(live, name)
    assert getattr(shown, name) == VALUES[name]


def test_null_is_none(frozen):
    """In columns of every type."""
    shown, _ = frozen()
    assert {getattr(shown, name) for name in (*VALUES, "words", "settings")} == {None}


def test_a_copy_of_a_json_object_is_itself(frozen):
    """`copy.copy` has nothing to do; `.copy()` is the way to one that can be changed."""
    shown, _ = frozen(document=NESTED)
    assert copy.copy(shown.document) is shown.document


def test_a_held_dict_cannot_be_initialised_again(frozen):
    """`__init__` updates a dict."""
    shown, _ = frozen(document={"a": 1})
    shown.document.__init__(hacked=1)
    assert shown.document == {"a": 1}


class Telling:
    """Its copying fails, and tells what it holds."""

    def __deepcopy__(self, _memo):
        msg = "canary-4711"
        raise ValueError(msg)


def test_an_error_of_a_value_s_own_copying_is_not_shown(store):
    """It may hold the value."""
    session = store(record())
    live = session.get_one(Record, 1)
    live.anything = Telling()
    with pytest.raises(SnapshotSourceError) as caught, session.no_autoflush:
        snapshot(live)
    assert "canary-4711" not in "".join(traceback.format_exception(caught.value))
