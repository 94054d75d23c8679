"""A many-to-one that was not loaded is found by its key, as SQLAlchemy would: without SQL."""

from __future__ import annotations

import pytest
from sqlalchemy import event, select
from sqlalchemy.orm import defer, with_loader_criteria

from sqla_safe import NotLoadedError, snapshot
from tests.unit.snapshots.models.family import (
    Employee,
    Engineer,
    Manager,
    Report,
    company,
)
from tests.unit.snapshots.models.gallery import Avatar, Tag, Team, User, lisa, many
from tests.unit.snapshots.models.joins import Order, Part
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


# --- keys that were changed and not flushed ---------------------------------------------------


@pytest.fixture
def moved(session):
    """Give an avatar whose foreign key leads to another user, before the flush."""
    session.add(User(id=2, name="Nona"))
    session.commit()
    session.autoflush = False
    avatar = session.get_one(Avatar, 1)
    avatar.user_id = 2
    return avatar


def test_an_unflushed_key_loads_its_new_target(moved):
    """The path asks for what the entity would."""
    assert snapshot(moved, Avatar.user).user.id == 2


def test_an_unflushed_key_costs_one_statement(moved):
    """As any path."""
    with sent() as statements:
        snapshot(moved, Avatar.user)
    assert len(statements) == 1


def test_an_unflushed_key_leaves_the_live_entity_alone(moved):
    """Its relationship is not loaded with what the row still says."""
    snapshot(moved, Avatar.user)
    assert moved.user.id == 2


def test_an_unflushed_key_without_a_row_means_none(moved):
    """As a lazy load would find."""
    moved.user_id = 777
    assert snapshot(moved, Avatar.user).user is None


def test_an_unflushed_null_means_none(moved):
    """Without a statement."""
    moved.user_id = None
    assert quietly(moved, Avatar.user).user is None


# --- targets of another class -----------------------------------------------------------------


@pytest.fixture
def misled(store):
    """Give a session on a database whose second report has an engineer for its manager."""
    return store(company(), Report(id=2, text="odd", manager_id=3))


def test_a_target_of_another_class_is_none(misled):
    """The session knows the row, but it is no manager; the entity reads the same."""
    engineer, report = misled.get_one(Employee, 3), misled.get_one(Report, 2)
    assert (quietly(report).manager, engineer.id) == (None, 3)


def test_a_target_of_another_class_in_the_graph_is_none(misled):
    """Although it is frozen in the same call."""
    roots = [misled.get_one(Report, 2), misled.get_one(Engineer, 3)]
    assert quietly(roots, Report.manager)[0].manager is None


def test_a_target_of_another_class_that_is_loaded_is_none(misled):
    """The path finds no manager."""
    assert snapshot(misled.get_one(Report, 2), Report.manager).manager is None


def test_a_target_of_the_right_subclass_is_found(misled):
    """Beside one that is not."""
    manager = misled.get_one(Manager, 2)
    assert quietly(misled.get_one(Report, 1)).manager.id == manager.id


# --- joins that are more than a key -----------------------------------------------------------


@pytest.fixture
def orders(store):
    """Give a session on a database with an order by code and one by key, and their part."""
    part = Part(id=1, code="k")
    return store(part, Order(id=1, part_code="k"), Order(id=2, part_id=1))


def test_a_join_by_one_key_or_another_is_asked_of_the_database(orders):
    """A NULL in the first says nothing about the second."""
    order, part = orders.get_one(Order, 1), orders.get_one(Part, 1)
    assert snapshot(order, Order.either).either.id == part.id


def test_a_join_by_one_key_or_another_is_not_guessed(orders):
    """It is not captured."""
    shown = quietly(orders.get_one(Order, 1))
    with pytest.raises(NotLoadedError, match=r"Order\.either"):
        _ = shown.either


def test_a_join_that_compares_columns_of_the_target_is_asked_of_the_database(orders):
    """The part of that key does not fulfil it."""
    order, part = orders.get_one(Order, 2), orders.get_one(Part, 1)
    assert (snapshot(order, Order.level).level, part.id) == (None, 1)


def test_a_join_that_compares_columns_of_the_target_is_not_guessed(orders):
    """It is not captured."""
    order, part = orders.get_one(Order, 2), orders.get_one(Part, 1)
    shown = quietly(order)
    with pytest.raises(NotLoadedError, match=r"Order\.level"):
        _ = shown.level
    assert part.id == 1


def test_a_target_that_the_session_may_not_see_is_none(orders):
    """Whatever the mapping says of inner joins; the order itself is there."""

    def nothing(state):
        state.statement = state.statement.options(with_loader_criteria(Part, Part.id != 1))

    order = orders.get_one(Order, 2)
    event.listen(orders, "do_orm_execute", nothing)
    assert snapshot(order, Order.always).always is None


# --- detached graphs --------------------------------------------------------------------------


@pytest.mark.parametrize("turn", [1, -1], ids=["avatar first", "user first"])
def test_a_detached_target_is_found_in_any_order(session, turn):
    """Before or after the one that leads to it."""
    roots = [session.get_one(Avatar, 1), session.get_one(User, 1)]
    session.close()
    shown_avatar, shown_user = quietly(roots[::turn])[::turn]
    assert shown_avatar.user is shown_user


def test_a_detached_target_is_found_on_a_deeper_level(store):
    """One user has loaded the team of both."""
    session = store(*many(2))
    tag = session.get_one(Tag, 1)
    assert tag.users[0].team.name == "Louvre"
    session.close()
    first, second = quietly(tag).users
    assert second.team is first.team
