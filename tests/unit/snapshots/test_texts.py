"""What a snapshot and its errors say, and what they never say."""

from __future__ import annotations

import logging
import traceback

import pytest
from sqlalchemy import Text, select
from sqlalchemy.orm import DeclarativeBase, Mapped, load_only, mapped_column, selectinload

from sqla_safe import (
    SqlaSafeError,
    dumps,
    loads,
    replace,
    snapshot,
    to_dict,
    write_back,
)
from tests.unit.snapshots.models.gallery import Avatar, Photo, User, lisa
from tests.unit.snapshots.models.keys import Seat

CANARY = "canary-4711"


class Base(DeclarativeBase):
    """The table of secrets."""


class ApiKey(Base):
    """Its key is itself a secret."""

    __tablename__ = "api_key"

    token: Mapped[str] = mapped_column(primary_key=True, info={"sensitive": True})
    number: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str | None] = mapped_column(Text, deferred=True)


def test_a_repr_names_class_and_key(store):
    """And nothing else."""
    assert repr(snapshot(store(lisa()).get_one(User, 1))) == "<User snapshot id=1>"


def test_a_repr_names_every_part_of_a_key(store):
    """In the order of the key."""
    shown = snapshot(store(Seat(row=1, letter="A")).get_one(Seat, (1, "A")))
    assert repr(shown) == "<Seat snapshot row=1, letter='A'>"


def test_a_sensitive_key_is_not_shown(store):
    """The other parts are."""
    session = store(ApiKey(token=CANARY, number=1))
    assert repr(snapshot(session.get_one(ApiKey, (CANARY, 1)))) == (
        "<ApiKey snapshot token=***, number=1>"
    )


def test_a_sensitive_key_is_not_shown_in_errors(store):
    """Where the key stands for the row."""
    session = store(ApiKey(token=CANARY, number=1))
    with pytest.raises(SqlaSafeError) as caught:
        _ = snapshot(session.get_one(ApiKey, (CANARY, 1))).text
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    assert "token=***, number=1" in str(caught.value)


def test_a_repr_does_not_follow_cycles(store):
    """It is short for large graphs too."""
    shown = snapshot(store(lisa()).get_one(User, 1), User.avatars, Avatar.photos)
    assert len(repr(shown)) < 30


def test_a_repr_in_a_collection(store):
    """Tuples show their members' reprs."""
    shown = snapshot(store(lisa()).get_one(User, 1), User.avatars)
    assert repr(shown.avatars) == "(<Avatar snapshot id=1>, <Avatar snapshot id=2>)"


def secret_user(store):
    """Store Lisa with a canary in every text."""
    made = lisa()
    made.name = made.password = made.bio = CANARY
    made.settings = {CANARY: [CANARY]}
    made.avatars[0].name = made.avatars[0].photos[0].url = CANARY
    return store(made)


def deleted(session):
    """Freeze an entity whose row is gone."""
    photo = session.get_one(Photo, 1)
    session.delete(photo)
    session.flush()
    snapshot(photo)


def detached(session):
    """Freeze an entity that misses something, without a session."""
    user = session.get_one(User, 1)
    session.expunge_all()
    snapshot(user, User.avatars)


def expired(session):
    """Freeze an entity of which nothing is known, without a session."""
    user = session.get_one(User, 1)
    session.expire(user)
    session.expunge_all()
    snapshot(user)


def stale(session):
    """Write back what somebody else has deleted."""
    base = snapshot(session.get_one(Photo, 1))
    session.connection().exec_driver_sql("DELETE FROM photo")
    write_back(session, replace(base, url=CANARY * 2), base=base)


def unencodable(session):
    """Dump a value that has no form."""
    user = snapshot(session.get_one(User, 1))
    dumps(replace(user, settings=Exception(CANARY)))


def damaged(session):
    """Load damaged data."""
    loads(User, dumps(snapshot(session.get_one(User, 1)))[:-9])


FAILURES = {
    "not loaded": lambda session: snapshot(session.get_one(User, 1)).avatars,
    "set": lambda session: setattr(snapshot(session.get_one(User, 1)), "name", CANARY),
    "frozen dict": lambda session: snapshot(session.get_one(User, 1)).settings.update(a=CANARY),
    "source": lambda _: snapshot(CANARY),
    "source list": lambda _: snapshot([CANARY]),
    "path": lambda session: snapshot(session.get_one(User, 1), CANARY * 0 + "avatars"),
    "pending": lambda _: snapshot(User(name=CANARY)),
    "deleted": deleted,
    "detached": detached,
    "expired": expired,
    "limit": lambda session: snapshot(session.get_one(User, 1), User.avatars, max_objects=1),
    "replace": lambda session: replace(snapshot(session.get_one(User, 1)), nmae=CANARY),
    "replace relation": lambda session: replace(
        snapshot(session.get_one(User, 1)), avatars=[CANARY]
    ),
    "to_dict": lambda _: to_dict({"a": CANARY}),
    "dumps": lambda _: dumps(CANARY),
    "add": lambda session: session.add(snapshot(session.get_one(User, 1))),
    "merge": lambda session: session.merge(snapshot(session.get_one(User, 1))),
    "stale": stale,
    "unencodable": unencodable,
    "damaged": damaged,
}


@pytest.mark.parametrize("fail", FAILURES.values(), ids=list(FAILURES))
def test_no_error_text_holds_a_column_value(store, fail, caplog):
    """Neither the error nor its cause, and nothing is logged."""
    session = secret_user(store)
    with caplog.at_level(logging.DEBUG, "sqla_safe"), pytest.raises(SqlaSafeError) as caught:
        fail(session)
    error: BaseException | None = caught.value
    while error is not None:
        assert CANARY not in f"{error} {error!r} {error.args}"
        error = error.__cause__ or error.__context__
    assert CANARY not in caplog.text


@pytest.mark.parametrize("fail", FAILURES.values(), ids=list(FAILURES))
def test_every_error_names_its_repair_and_its_page(store, fail):
    """What happened, what to write instead, and the code."""
    with pytest.raises(SqlaSafeError) as caught:
        fail(secret_user(store))
    assert "Instead: " in str(caught.value)
    assert f"[{caught.value.code}]" in str(caught.value)


@pytest.mark.parametrize(
    ("fail", "text"),
    [
        ("source", "no snapshot can be made of an object of type str. "),
        ("source list", "item 0 of the iterable is an object of type str. "),
        ("to_dict", "to_dict() was given an object of type dict. "),
        ("dumps", "dumps() was given an object of type str. "),
        ("replace", "User.nmae is no attribute that is stored. "),
        (
            "detached",
            "No snapshot can be made of this User: User.avatars is not loaded, and the entity has ",
        ),
    ],
)
def test_the_text_begins_with_the_call_that_failed(store, fail, text):
    """`replace` and `dumps` do not speak of a snapshot that cannot be made."""
    with pytest.raises(SqlaSafeError) as caught:
        FAILURES[fail](secret_user(store))
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        ([User.avatars], "User.avatars is not loaded, and"),
        ([User.avatars, User.team], "User.avatars, User.team are not loaded, and"),
    ],
)
def test_one_is_and_several_are_missing(store, paths, words):
    """The sentence agrees with what it names."""
    session = store(lisa())
    user = session.get_one(User, 1)
    session.expunge_all()
    with pytest.raises(SqlaSafeError, match=words):
        snapshot(user, *paths)


def test_an_expired_entity_is_told_as_such(store):
    """Nor "is expired when"."""
    with pytest.raises(SqlaSafeError, match=r"User\.team_id expired when its trans"):
        expired(store(lisa()))


def test_every_missing_attribute_names_a_path_that_works(store):
    """The text can be copied into the program."""
    session = store(lisa())
    user = session.scalars(select(User).options(load_only(User.name))).one()
    for name, path in {"avatars": User.avatars, "bio": User.bio, "balance": User.balance}.items():
        with pytest.raises(SqlaSafeError, match=rf"snapshot\(entity, User\.{name}\)"):
            getattr(snapshot(user), name)
        assert getattr(snapshot(user, path), name) is not None


def test_the_repr_of_what_a_query_brought(store):
    """A snapshot whose key is all that is loaded."""
    session = store(lisa())
    user = session.scalars(
        select(User).options(load_only(User.id), selectinload(User.avatars).load_only(Avatar.id))
    ).one()
    assert repr(snapshot(user).avatars[0]) == "<Avatar snapshot id=1>"
