"""Polymorphic entities keep their subclass, in all three kinds of inheritance."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.orm import selectin_polymorphic, selectinload, with_polymorphic

from sqla_safe import NotLoadedError, snapshot
from tests.unit.snapshots.models.family import (
    Badge,
    Car,
    Circle,
    Company,
    Employee,
    Engineer,
    Letter,
    Manager,
    Report,
    Shape,
    Truck,
    Vehicle,
    company,
)
from tests.unit.snapshots.support import sent


def test_a_joined_subclass_is_kept(store):
    """A list of the base class holds snapshots of the classes of its rows."""
    shown = snapshot(store(company()).get_one(Company, 1), Company.staff)
    assert [isinstance(one, Manager) for one in shown.staff] == [False, True, False]
    assert [isinstance(one, Engineer) for one in shown.staff] == [False, False, True]


def test_columns_of_joined_subclasses_are_held(store):
    """What the query of the base class left out is loaded as any expired column is."""
    shown = snapshot(store(company()).get_one(Company, 1), Company.staff)
    assert (shown.staff[1].budget, shown.staff[2].language) == (100, "C")


def test_columns_of_joined_subclasses_cost_one_statement_per_class(store):
    """Two managers cost what one costs."""
    session = store(company(), Manager(id=9, name="Mia", budget=7))
    staff = session.scalars(select(Employee)).all()
    with sent() as statements:
        snapshot(staff)
    assert len(statements) == 2


def test_columns_that_the_query_brought_are_not_loaded_again(store):
    """`with_polymorphic` leaves nothing to load."""
    session = store(company())
    staff = session.scalars(select(with_polymorphic(Employee, "*"))).all()
    with sent() as statements:
        shown = snapshot(staff)
    assert statements == []
    assert {one.language for one in shown if isinstance(one, Engineer)} == {"C"}


def test_selectin_polymorphic_as_a_path(store):
    """The loader option brings the columns of the subclasses."""
    session = store(company())
    shown = snapshot(session.get_one(Manager, 2), selectin_polymorphic(Employee, [Manager]))
    assert shown.budget == 100


def test_a_path_of_a_subclass_is_loaded_for_that_subclass(store):
    """Only managers have reports."""
    session = store(company())
    shown = snapshot(session.get_one(Company, 1), Company.staff, Manager.reports)
    manager = shown.staff[1]
    assert isinstance(manager, Manager)
    assert manager.reports[0].text == "all well"


def test_the_way_back_from_a_subclass_relationship(store):
    """A many-to-one to a subclass is found among what is there."""
    session = store(company())
    shown = snapshot(session.get_one(Manager, 2), Manager.reports)
    assert shown.reports[0].manager is shown


def test_an_inherited_path_can_be_named_on_the_subclass(store):
    """`Manager.company` is `Employee.company` of managers."""
    session = store(company())
    manager = session.get_one(Manager, 2)
    loaded = snapshot(manager, Manager.company).company
    assert loaded is not None
    assert loaded.name == "Louvre"


def test_a_path_of_the_base_class_holds_for_subclasses(store):
    """`Employee.company` is loaded for managers and engineers too, in one statement."""
    session = store(company())
    staff = session.scalars(select(with_polymorphic(Employee, "*"))).all()
    with sent() as statements:
        shown = snapshot(staff, Employee.company)
    assert len(statements) == 1
    assert {one.company.name for one in shown} == {"Louvre"}


def test_two_roots_of_different_subclasses_share_a_statement(store):
    """One path, one statement, whatever the classes of the roots."""
    session = store(company())
    roots = [session.get_one(Manager, 2), session.get_one(Engineer, 3)]
    with sent() as statements:
        manager, engineer = snapshot(roots, Employee.company)
    assert len(statements) == 1
    assert manager.company is engineer.company


def test_a_loader_option_for_roots_of_different_subclasses(store):
    """The common base class is what an option is run on."""
    session = store(company())
    roots = [session.get_one(Manager, 2), session.get_one(Engineer, 3)]
    manager, engineer = snapshot(roots, selectinload(Employee.company))
    assert manager.company is engineer.company


def test_an_overridden_method_is_the_subclass_s(store):
    """`super()` inside it reaches the base class's."""
    assert snapshot(store(company()).get_one(Employee, 2)).title() == "Director Max"


def test_a_missing_attribute_is_named_on_the_class_that_maps_it(store):
    """The path to add is the one that is mapped."""
    shown = snapshot(store(company()).get_one(Manager, 2))
    with pytest.raises(NotLoadedError, match=r"snapshot\(entity, Manager\.reports\)"):
        _ = shown.reports


def test_an_inherited_missing_attribute_names_a_path_that_works(store):
    """A many-to-one of the base class that was not captured."""
    shown = snapshot(store(company()).get_one(Manager, 2))
    with pytest.raises(NotLoadedError, match=r"company was not captured"):
        _ = shown.company


def test_single_table_subclasses_are_kept(store):
    """Rows of one table become snapshots of their classes."""
    session = store(Car(id=1, seats=4), Truck(id=2, load=9))
    car, truck = snapshot(session.scalars(select(Vehicle).order_by(Vehicle.id)).all())
    assert (isinstance(car, Car), isinstance(truck, Truck)) == (True, True)
    assert (isinstance(car, Truck), isinstance(truck, Car)) == (False, False)


def test_columns_of_single_table_subclasses_are_held(store):
    """Columns that only a subclass maps are there."""
    session = store(Car(id=1, seats=4), Truck(id=2, load=9))
    car, truck = snapshot(session.scalars(select(Vehicle).order_by(Vehicle.id)).all())
    assert (car.seats, truck.load) == (4, 9)


def test_a_single_table_sibling_s_column_does_not_exist(store):
    """A car has no load: not "not loaded", but not there."""
    shown = snapshot(store(Car(id=1, seats=4)).get_one(Car, 1))
    with pytest.raises(AttributeError):
        _ = shown.load


def test_a_single_table_path_costs_one_statement_for_all_classes(store):
    """One path over cars and trucks."""
    owner = Company(id=1, name="Louvre")
    session = store(Car(id=1, owner=owner), Truck(id=2, owner=owner))
    vehicles = session.scalars(select(with_polymorphic(Vehicle, "*"))).all()
    with sent() as statements:
        shown = snapshot(vehicles, Vehicle.owner)
    assert len(statements) == 1
    assert shown[0].owner is shown[1].owner


def test_concrete_subclasses_are_kept(store):
    """A polymorphic query over separate tables."""
    session = store(Shape(id=1, name="blob"), Circle(id=1, name="round", radius=3))
    shown = snapshot(session.scalars(select(Shape)).all())
    assert {one.radius for one in shown if isinstance(one, Circle)} == {3}


def test_concrete_rows_with_one_key_stay_two_objects(store):
    """A shape 1 and a circle 1 are not the same row."""
    session = store(Shape(id=1, name="blob"), Circle(id=1, name="round", radius=3))
    one, two = snapshot(session.scalars(select(Shape)).all())
    assert one != two


def test_an_abstract_concrete_base(store):
    """A class with no table of its own above it."""
    session = store(Letter(id=1, title="Hello", sender="Lisa"))
    shown = snapshot(session.get_one(Letter, 1))
    assert (shown.title, shown.sender) == ("Hello", "Lisa")


def test_relationships_to_a_subclass_hold_that_subclass(store):
    """`Report.manager` is a manager with a manager's columns."""
    shown = snapshot(store(company()).get_one(Report, 1), Report.manager)
    assert (shown.manager.name, shown.manager.budget) == ("Max", 100)


def test_a_many_to_one_to_a_base_class_finds_the_subclass(store):
    """The identity map knows the manager under the key of the base class."""
    session = store(company(), Badge(id=1, employee_id=2))
    manager = session.get_one(Manager, 2)
    badge = session.get_one(Badge, 1)
    with sent() as statements:
        shown = snapshot(badge)
    assert statements == []
    assert isinstance(shown.employee, Manager)
    assert shown.employee.name == manager.name


def test_expired_columns_of_two_tables_are_loaded(store):
    """Those of the base table and of the subclass's, in one statement."""
    session = store(company())
    manager = session.get_one(Manager, 2)
    session.expire(manager, ["name", "budget"])
    with sent() as statements:
        shown = snapshot(manager)
    assert (shown.name, shown.budget, len(statements)) == ("Max", 100, 1)


def test_an_expired_subclass_row_is_loaded(store):
    """After a commit."""
    session = store(company())
    manager = session.get_one(Manager, 2)
    session.commit()
    with sent() as statements:
        shown = snapshot(manager)
    assert (shown.name, shown.budget, len(statements)) == ("Max", 100, 1)
