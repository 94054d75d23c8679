"""The private names of SQLAlchemy that the guard reads: there, or done without."""

from __future__ import annotations

import pytest
from sqlalchemy import ForeignKey, create_engine, select
from sqlalchemy.exc import InvalidRequestError, MissingGreenlet, NoResultFound, StatementError
from sqlalchemy.orm import (
    DeclarativeBase,
    InstanceState,
    InstrumentedAttribute,
    Mapped,
    Session,
    mapped_column,
    relationship,
    sessionmaker,
    strategies,
)
from sqlalchemy.orm.context import QueryContext
from sqlalchemy.orm.exc import DetachedInstanceError
from sqlalchemy.orm.interfaces import UserDefinedOption
from sqlalchemy.pool import StaticPool

from sqla_safe import configure, explain
from sqla_safe.guard import _errors, _internals
from sqla_safe.guard._provenance import LoadSite


class Base(DeclarativeBase):
    pass


class Parent(Base):
    __tablename__ = "parent"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="")
    children: Mapped[list[Child]] = relationship(lazy="select")


class Child(Base):
    __tablename__ = "child"

    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int] = mapped_column(ForeignKey("parent.id"))


@pytest.fixture
def maker():
    """Give a guarded sessionmaker on one parent."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Parent(id=1))
        session.commit()
    made = sessionmaker(engine)
    configure(made, guard="raise")
    yield made
    engine.dispose()


def detached(maker):
    """Return the error of a detached read."""
    with maker() as session:
        parent = session.get(Parent, 1)
    with pytest.raises(DetachedInstanceError) as caught:
        _ = parent.children
    return caught.value


@pytest.mark.parametrize("name", ["__get__", "__set__", "__delete__"])
def test_attributes_are_read_by_python_code(name):
    """The frames of these methods say which attribute of which entity is meant."""
    code = getattr(InstrumentedAttribute, name).__code__
    assert {"self", "instance"} <= set(code.co_varnames)


def test_a_session_refreshes_by_python_code():
    """Its frame tells a refresh from a lazy load."""
    assert Session.refresh.__code__.co_name == "refresh"


def test_the_module_of_loader_strategies_has_a_file():
    """Its frames tell an eager load from a statement of one's own."""
    assert strategies.__file__.endswith("strategies.py")


@pytest.mark.parametrize("name", ["load_options", "load_path", "expired", "expired_attributes"])
def test_the_state_of_an_entity_has_what_is_read(name):
    """Without an underscore, and hardly documented."""
    assert hasattr(InstanceState, name) or name in InstanceState.__annotations__


@pytest.mark.parametrize("cls", [DetachedInstanceError, InvalidRequestError])
def test_errors_inherit_their_constructor(cls):
    """So that taking ours away leaves nothing behind."""
    assert "__init__" not in vars(cls)


def test_the_words_of_missing_greenlet_are_sqlalchemys_own():
    """Its text names another function on each SQLAlchemy line."""
    error = _internals.missing_greenlet()
    assert isinstance(error, MissingGreenlet)
    assert "greenlet_spawn has not been called" in str(error)
    assert "xd2s" in str(error)


def test_outside_of_a_greenlet_is_known():
    """`in_greenlet` is where it was."""
    assert _internals.is_outside_greenlet()


def test_without_the_accessors_the_error_is_sqlalchemys_own(maker, monkeypatch):
    """Where the descriptor's methods are no Python, the frames of the loaders still tell."""
    monkeypatch.setattr(_internals, "_accessors", dict)
    error = detached(maker)
    assert str(error).startswith("Parent instance <Parent at ")
    assert type(error) is DetachedInstanceError


@pytest.mark.parametrize("name", ["access_in", "frames_from"])
def test_a_failure_inside_leaves_the_error_as_it_is(maker, monkeypatch, name):
    """Nothing that goes wrong in the guard gets out of it."""

    def broken(*_):
        msg = "this name is gone"
        raise AttributeError(msg)

    monkeypatch.setattr(_internals, name, broken)
    error = detached(maker)
    assert type(error) is DetachedInstanceError
    assert not hasattr(error, "__notes__")


def test_a_state_without_load_options_leaves_the_error_as_it_is(maker, monkeypatch):
    """A private name that is missing costs the explanation, and nothing else."""
    monkeypatch.setattr(_errors, "home_of", lambda state: state.no_such_name)
    error = detached(maker)
    assert not hasattr(error, "__notes__")
    assert "lazy load operation of attribute 'children' cannot proceed" in str(error)


def test_without_in_greenlet_nothing_is_refused(monkeypatch):
    """SQLAlchemy then fails by itself."""
    monkeypatch.setattr(_internals, "util", object())
    assert not _internals.is_outside_greenlet()


def test_without_await_only_the_words_are_our_copy(monkeypatch):
    """The exception is still SQLAlchemy's."""
    monkeypatch.setattr(_internals, "util", object())
    assert "greenlet_spawn has not been called" in str(_internals.missing_greenlet())


def test_a_failure_while_marking_leaves_the_statement_as_it_is(maker, monkeypatch):
    """The program goes on; its entities have no load site."""

    def broken(*_):
        msg = "this name is gone"
        raise AttributeError(msg)

    monkeypatch.setattr(_internals, "load_in", broken)
    with maker() as session:
        assert session.get(Parent, 1).children == []


def test_errors_that_are_not_explained_stay_bare(maker):
    """NoResultFound is an InvalidRequestError too."""
    with maker() as session, pytest.raises(NoResultFound) as caught:
        session.query(Parent).filter_by(id=2).one()
    assert not hasattr(caught.value, "__notes__")


def test_a_wrapped_error_that_is_not_explained_stays_bare(maker):
    """StatementError wraps many things."""
    error = StatementError("text", None, None, ValueError())
    assert not hasattr(error, "__notes__")
    assert explain(error) is None


def test_watching_twice_wraps_once(maker):
    """Each configured sessionmaker asks for it."""
    first = DetachedInstanceError.__init__
    _errors.watch()
    assert DetachedInstanceError.__init__ is first


@pytest.mark.parametrize(
    "name", ["_adapt_cached_option_to_uncached_option", "_is_has_cache_key", "propagate_to_loaders"]
)
def test_an_option_is_asked_for_what_entities_get(name):
    """The names that an option is asked by."""
    assert hasattr(UserDefinedOption, name)


@pytest.mark.parametrize("name", ["top_level_context", "propagated_loader_options", "session"])
def test_an_execution_tells_of_what_it_is_a_part(name):
    """What an option is given, with the options of the statement that asked for an eager load."""
    assert name in QueryContext.__slots__


def test_a_statement_tells_its_options():
    """So that none gets a second mark."""
    assert _internals.options_of(select(Parent).options(LoadSite())) != ()
    assert _internals.options_of(object()) == ()


def test_a_statement_with_one_option_more_is_what_options_makes():
    """The short way and SQLAlchemy's own give the same, and leave the statement as it was."""
    statement, option = select(Parent).where(Parent.id == 1), LoadSite()
    ours, theirs = _internals.with_option(statement, option), statement.options(option)
    assert type(ours) is type(theirs)
    assert vars(ours).keys() == vars(theirs).keys()
    assert _internals.options_of(ours) == _internals.options_of(theirs) == (option,)
    assert ours.compare(theirs)
    assert _internals.options_of(statement) == ()


def test_without_the_short_way_the_options_are_sqlalchemys_own():
    """Whatever a statement lacks, it has `options()`."""
    option = LoadSite()

    class Other:
        def options(self, *options):
            return options

    assert _internals.with_option(Other(), option) == (option,)


def test_without_the_exchange_each_execution_has_its_own_option(maker, monkeypatch):
    """Nothing is missing from the explanation."""
    monkeypatch.setattr(_internals, "IS_EXCHANGED", False)
    statement = select(Parent)
    with maker() as session:
        for _ in range(3):
            session.scalars(statement).one()
        parent = session.scalars(statement).one()
    with pytest.raises(DetachedInstanceError) as caught:
        _ = parent.children
    explanation = explain(caught.value)
    assert explanation is not None
    assert "test_internals.py" in (explanation.loaded or "")


def test_an_exchange_that_fails_leaves_the_option(maker, monkeypatch):
    """The entity has no load site, and the program goes on."""

    def broken(*_):
        msg = "this name is gone"
        raise AttributeError(msg)

    monkeypatch.setattr(LoadSite, "for_execution", broken)
    with maker() as session:
        parent = session.get(Parent, 1)
    with pytest.raises(DetachedInstanceError) as caught:
        _ = parent.children
    assert "lazy load operation of attribute 'children' cannot proceed" in str(caught.value)
