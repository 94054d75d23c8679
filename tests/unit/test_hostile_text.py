"""Text from strangers where an attribute belongs: one clear error, no SQL, no getter, no value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import make_dataclass
from typing import Annotated, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, event, select
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker
from sqlalchemy.pool import StaticPool
from typing_extensions import TypedDict

from sqla_safe import Path, SqlaSafeError, fetch, replace, scoped_services, snapshot

SECRET = "b7ab0c2e-correct-horse"
FRAGMENTS = [
    "avatars.photos; DROP TABLE account",
    "id) UNION SELECT secret FROM account --",
    "1; UPDATE account SET name = 'x' WHERE 'a' = 'a",
    'name", "secret',
    "account.name",
    "name/**/",
    "%s",
    ":secret",
    "{secret}",
    "{0.__class__.__mro__}",
    "__class__",
    "__dict__",
    "__init__.__globals__",
    "__mapper__",
    "__table__",
    "_sa_instance_state",
    "metadata",
    "registry",
    "secret",
    "shout",
    "loud",
    "cry",
    "name\x00",
    "ｎａｍｅ",
    "nаme",
    "na\u200bme",
    "\ud800",
    "\u202eeman",
    "']; cry(); ['",
    '"""\ncry()\n"""',
    "",
    " ",
    "\n",
    "a" * 1_000_000,
    "name." * 200_000,
]
MEANT = {"required", "nested", "requires_new", "mandatory", "never", "SERIALIZABLE"}
"""What an option takes: Hypothesis tries words that it finds in the code."""
LONGEST = 2_000
called: list[str] = []


class Base(DeclarativeBase):
    pass


class Account(Base):
    """Has a secret, and getters that tell when they are called."""

    __tablename__ = "account"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    secret: Mapped[str]

    @property
    def shout(self) -> str:
        """Tell."""
        called.append("shout")
        return self.secret

    @hybrid_property
    def loud(self) -> str:
        """Tell."""
        called.append("loud")
        return self.secret

    def cry(self) -> str:
        """Tell."""
        called.append("cry")
        return self.secret


def into_snapshot(session: Session, account: Account, text: Any) -> object:
    """Use it as a path."""
    return snapshot(account, text)


def behind_a_path(session: Session, account: Account, text: Any) -> object:
    """Use it as one path of two."""
    return snapshot([account], Account.name, text)


def into_path(session: Session, account: Account, text: Any) -> object:
    """Use it as the Path of a view's field."""
    view = make_dataclass("View", [("value", Annotated[str, Path(text)])])
    return fetch(session, view, select(Account))


def into_longer_path(session: Session, account: Account, text: Any) -> object:
    """Use it as the end of such a Path."""
    view = make_dataclass("View", [("value", Annotated[str, Path(Account.name, text)])])
    return fetch(session, view, select(Account))


def into_isolation(session: Session, account: Account, text: Any) -> object:
    """Use it as an isolation level."""
    with scoped_services(sessionmaker(session.bind), isolation_level=text) as scope:
        return scope.session.connection()


def into_propagation(session: Session, account: Account, text: Any) -> object:
    """Use it as a propagation."""
    with scoped_services(sessionmaker(session.bind), propagation=text) as scope:
        return scope.session.connection()


USES = (
    into_snapshot,
    behind_a_path,
    into_path,
    into_longer_path,
    into_isolation,
    into_propagation,
)


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """Give a session on one account."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    with Session(engine) as made:
        made.add(Account(id=1, name="Lisa", secret=SECRET))
        made.commit()
        yield made
    engine.dispose()


@pytest.fixture
def account(session: Session) -> Account:
    """Give the account, loaded."""
    return session.get_one(Account, 1)


def statements_of(session: Session, use: Callable[[], object]) -> tuple[list[str], str]:
    """Return the statements that a use sent and the text of the error that it had to raise."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        sent.append(statement)

    event.listen(session.bind, "before_cursor_execute", note)
    called.clear()
    try:
        with pytest.raises(SqlaSafeError) as caught:
            use()
    finally:
        event.remove(session.bind, "before_cursor_execute", note)
    error: Any = caught.value
    return sent, "".join([str(error), repr(error), *getattr(error, "__notes__", ())])


def check(session: Session, account: Account, text: str) -> None:
    """Try a text everywhere."""
    for use in USES:
        sent, said = statements_of(session, lambda use=use: use(session, account, text))
        assert sent == [], use.__doc__
        assert called == [], use.__doc__
        assert SECRET not in said, use.__doc__
        assert len(said) < LONGEST, use.__doc__


def each(*without: str) -> pytest.MarkDecorator:
    """Run a test with every fragment but these."""
    texts = [text for text in FRAGMENTS if text not in without]
    return pytest.mark.parametrize("text", texts, ids=lambda text: ascii(text[:20]))


@each()
def test_known_attacks(session, account, text):
    """Fragments of SQL, dunders, getters, look-alikes and megabytes are refused in one way."""
    check(session, account, text)


@given(text=st.text(max_size=80).filter(lambda text: text not in MEANT))
@example(text="Account.secret")
@settings(max_examples=300)
def test_any_text(session, text):
    """So is any text at all."""
    check(session, session.get_one(Account, 1), text)


@each("secret")
def test_replacing_by_a_strange_name(session, account, text):
    """Only what is mapped can be replaced, and the error shows neither value."""
    shown = snapshot(account)
    called.clear()
    with pytest.raises((SqlaSafeError, TypeError, AttributeError)) as caught:
        replace(shown, **{text: SECRET})
    assert called == []
    assert SECRET not in str(caught.value)
    assert len(str(caught.value)) < LONGEST


@each("secret", "loud")
def test_a_strange_field_of_a_view(session, text):
    """A field that the entity does not have is refused, whatever its name, without a statement."""
    view: Any = TypedDict("View", {text: str})  # type: ignore[operator]
    sent, said = statements_of(session, lambda: fetch(session, view, select(Account)))
    assert sent == []
    assert called == []
    assert SECRET not in said


@each()
def test_a_strange_key_of_a_view(session, text):
    """A key of a TypedDict that is filled by a Path is only a key: it never becomes code."""
    view: Any = TypedDict("View", {text: Annotated[str, Path(Account.name)]})  # type: ignore[operator]
    called.clear()
    assert fetch(session, view, select(Account)) == [{text: "Lisa"}]
    assert called == []
