"""A many-to-one that was not loaded is found by its key, as SQLAlchemy would: without SQL."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.orm import defer

from sqla_safe import NotLoadedError, snapshot
from tests.unit.snapshots.models.gallery import Avatar, Team, User, lisa
from tests.unit.snapshots.models.keys import (
    Country,
    House,
    Owner,
    Passport,
    Seat,
    Street,
    Ticket,
    Trip,
)
from tests.unit.snapshots.support import sent


@pytest.fixture
def session(store):
    """Give a session on a database with Lisa in it."""
    return store(lisa())


@pytest.fixture
def travels(store):
    """Give a session on a database with a trip, a seat and a passport."""
    return store(
        Country(code="FR", number=33),
        Trip(id=1, code="FR", number=33),
        Trip(id=2),
        Seat(row=1, letter="A"),
        Ticket(id=1, seat_row=1, seat_letter="A"),
        Ticket(id=2, seat_row=1, seat_letter=None),
        Owner(id=1, passport=Passport(id=1, number="X")),
    )


def quietly(entity, *paths):
    """Freeze, and make sure that nothing is sent."""
    with sent() as statements:
        shown = snapshot(entity, *paths)
    assert statements == []
    return shown


def test_a_target_in_the_session_is_found(session):
    """The identity map knows it."""
    team, user = session.get_one(Team, 1), session.get_one(User, 1)
    assert quietly(user).team.name == team.name


def test_a_target_that_is_not_in_the_session_is_not_captured(session):
    """Nobody has loaded it."""
    shown = quietly(session.get_one(User, 1))
    with pytest.raises(NotLoadedError, match=r"User\.team"):
        _ = shown.team


def test_a_path_of_a_target_in_the_session_costs_nothing(session):
    """It is found before anything is loaded."""
    team, user = session.get_one(Team, 1), session.get_one(User, 1)
    assert quietly(user, User.team).team.id == team.id


def test_what_was_resolved_is_not_set_on_the_entity(session):
    """Freezing leaves the entity alone."""
    team, user = session.get_one(Team, 1), session.get_one(User, 1)
    quietly(user)
    assert "team" not in vars(user)
    assert team.id == 1


def test_a_target_that_is_frozen_too_is_found(session):
    """The snapshot is that of the same graph."""
    user, avatar = session.get_one(User, 1), session.get_one(Avatar, 1)
    shown_avatar, shown_user = quietly([avatar, user])
    assert shown_avatar.user is shown_user


def test_an_expired_target_is_not_captured(session):
    """Its state is unknown, and reading it would be a statement."""
    team, user = session.get_one(Team, 1), session.get_one(User, 1)
    session.expire(team)
    shown = quietly(user)
    with pytest.raises(NotLoadedError):
        _ = shown.team


def test_an_expired_target_can_be_a_path(session):
    """Then it is loaded."""
    team, user = session.get_one(Team, 1), session.get_one(User, 1)
    session.expire(team)
    assert snapshot(user, User.team).team.name == "Louvre"


def test_a_foreign_key_that_is_null_means_none(travels):
    """There is nothing to look for."""
    assert quietly(travels.get_one(Trip, 2)).country is None


def test_a_foreign_key_that_is_not_loaded_means_not_captured(session):
    """Nothing is known of the target."""
    team = session.get_one(Team, 1)
    user = session.scalars(select(User).options(defer(User.team_id))).one()
    shown = quietly(user)
    with pytest.raises(NotLoadedError):
        _ = shown.team
    assert team.id == 1


def test_a_changed_foreign_key_finds_its_new_target(session):
    """The entity's state in memory counts, as it does for a lazy load after the flush."""
    session.add(Team(id=2, name="Prado"))
    session.flush()
    teams = session.scalars(select(Team)).all()
    user = session.get_one(User, 1)
    user.team_id = 2
    session.flush()
    shown = snapshot(user)
    assert shown.team is not None
    assert (shown.team.name, len(teams)) == ("Prado", 2)


def test_a_key_of_two_columns_is_found(travels):
    """Both parts together."""
    seat, ticket = travels.get_one(Seat, (1, "A")), travels.get_one(Ticket, 1)
    shown = quietly(ticket)
    assert (shown.seat.row, shown.seat.letter, seat.row) == (1, "A", 1)


def test_a_key_of_two_columns_that_is_half_null_means_none(travels):
    """SQL finds no row for it either."""
    assert quietly(travels.get_one(Ticket, 2)).seat is None


def test_a_collection_with_a_key_of_two_columns(travels):
    """Paths work for such keys."""
    shown = snapshot(travels.get_one(Seat, (1, "A")), Seat.tickets)
    assert [ticket.id for ticket in shown.tickets] == [1]
    assert shown.tickets[0].seat is shown


def test_many_roots_with_a_key_of_two_columns_cost_one_statement(travels):
    """One list of pairs."""
    travels.add_all([Seat(row=2, letter=letter) for letter in "ABC"])
    travels.flush()
    seats = travels.scalars(select(Seat)).all()
    with sent() as statements:
        shown = snapshot(seats, Seat.tickets)
    assert (len(shown), len(statements)) == (4, 1)


def test_a_key_that_is_a_text_is_found(travels):
    """Keys are of any type."""
    country, trip = travels.get_one(Country, "FR"), travels.get_one(Trip, 1)
    assert quietly(trip).country.code == country.code


def test_a_join_to_another_column_is_not_guessed(travels):
    """The identity map knows primary keys only."""
    country, trip = travels.get_one(Country, "FR"), travels.get_one(Trip, 1)
    shown = quietly(trip)
    with pytest.raises(NotLoadedError, match=r"Trip\.by_number"):
        _ = shown.by_number
    assert country.number == 33


def test_a_join_to_another_column_can_be_a_path(travels):
    """Then the database finds it."""
    assert snapshot(travels.get_one(Trip, 1), Trip.by_number).by_number.code == "FR"


def test_a_join_with_a_further_condition_is_not_guessed(travels):
    """The target may not fulfil it."""
    country, trip = travels.get_one(Country, "FR"), travels.get_one(Trip, 1)
    shown = quietly(trip)
    with pytest.raises(NotLoadedError, match=r"Trip\.if_open"):
        _ = shown.if_open
    assert country.is_open


def test_a_join_with_a_further_condition_can_be_a_path(travels):
    """The database knows the condition."""
    trip, country = travels.get_one(Trip, 1), travels.get_one(Country, "FR")
    country.is_open = False
    travels.flush()
    assert snapshot(trip, Trip.if_open).if_open is None


def test_a_raiseload_relationship_is_resolved_without_sql(travels):
    """What is there is there; `raise` concerns statements."""
    country, trip = travels.get_one(Country, "FR"), travels.get_one(Trip, 1)
    shown = quietly(trip)
    assert shown.country.code == country.code


def test_a_raiseload_relationship_can_be_a_path(travels):
    """The path goes before the mapping's default."""
    trip = travels.get_one(Trip, 1)
    assert snapshot(trip, Trip.never_lazy).never_lazy.code == "FR"


def test_a_one_to_one_without_the_foreign_key_is_not_guessed(travels):
    """Its key is on the other side."""
    owner, passport = travels.get_one(Owner, 1), travels.get_one(Passport, 1)
    shown = quietly(owner)
    with pytest.raises(NotLoadedError):
        _ = shown.passport
    assert passport.id == 1


def test_a_one_to_one_with_the_foreign_key_is_found(travels):
    """It is a many-to-one."""
    owner, passport = travels.get_one(Owner, 1), travels.get_one(Passport, 1)
    assert quietly(passport).owner.id == owner.id


def test_a_deleted_target_is_not_captured(session):
    """The session has forgotten it."""
    user, team = session.get_one(User, 1), session.get_one(Team, 1)
    session.execute(Team.__table__.delete())
    session.expunge(team)
    shown = snapshot(user)
    with pytest.raises(NotLoadedError):
        _ = shown.team


def test_another_column_is_not_taken_for_the_key(store):
    """The house is in street number 2, whose key is 1; the street with the key 2 is another."""
    session = store(Street(id=1, number=2), Street(id=2, number=1), House(id=1, street_number=2))
    streets = session.scalars(select(Street).order_by(Street.id)).all()
    one, _ = snapshot(streets, Street.houses)
    with pytest.raises(NotLoadedError):
        _ = one.houses[0].street
    one, _ = snapshot(streets, Street.houses, House.street)
    assert one.houses[0].street is one


def test_a_detached_member_of_the_graph_is_no_target(session):
    """The session does not know it, and a lazy load would not find it."""
    team = session.get_one(Team, 1)
    [user] = team.members
    assert len(user.avatars) == 2
    session.expunge(user)
    [member] = quietly(team).members
    with pytest.raises(NotLoadedError, match=r"Avatar\.user"):
        _ = member.avatars[0].user
