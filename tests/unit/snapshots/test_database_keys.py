"""Many-to-ones whose keys mean more to the database, or nothing yet."""

from __future__ import annotations

import pytest
from sqlalchemy import ForeignKey, String, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from sqla_safe import snapshot
from tests.unit.snapshots.support import sent


class Base(DeclarativeBase):
    pass


class Country(Base):
    __tablename__ = "country"

    code: Mapped[str] = mapped_column(String(collation="NOCASE"), primary_key=True)


class Town(Base):
    __tablename__ = "town"

    id: Mapped[int] = mapped_column(primary_key=True)
    country_code: Mapped[str | None] = mapped_column(ForeignKey(Country.code))
    country: Mapped[Country | None] = relationship()


@pytest.fixture
def session():
    """Give a session on empty tables."""
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        yield session
    engine.dispose()


def test_a_key_that_only_the_database_finds_equal(session):
    """'fr' leads to 'FR' where the collation says so."""
    session.add_all([Country(code="FR"), Town(id=1, country_code="fr")])
    session.commit()
    shown = snapshot(session.get_one(Town, 1), Town.country)
    assert shown.country is not None


def test_a_foreign_key_that_was_never_set_means_none(session):
    """The entity reads None and sends nothing, and so does its snapshot."""
    town = Town(id=1)
    session.add(town)
    session.flush()
    with sent() as statements:
        shown = snapshot(town, Town.country)
    assert shown.country is None
    assert statements == []
