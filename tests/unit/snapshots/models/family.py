"""Inheritance of all three kinds: joined, single-table and concrete."""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import ForeignKey
from sqlalchemy.ext.declarative import AbstractConcreteBase, ConcreteBase
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """The tables of the families."""


class Company(Base):
    __tablename__ = "company"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    staff: Mapped[list[Employee]] = relationship(back_populates="company", order_by="Employee.id")


class Employee(Base):
    """Joined inheritance: a table of its own for each class."""

    __tablename__ = "employee"
    __mapper_args__: ClassVar = {"polymorphic_on": "kind", "polymorphic_identity": "employee"}

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str]
    company_id: Mapped[int | None] = mapped_column(ForeignKey("company.id"))
    company: Mapped[Company | None] = relationship(back_populates="staff")

    def title(self) -> str:
        """Say who this is."""
        return self.name


class Manager(Employee):
    __tablename__ = "manager"
    __mapper_args__: ClassVar = {"polymorphic_identity": "manager"}

    id: Mapped[int] = mapped_column(ForeignKey("employee.id"), primary_key=True)
    budget: Mapped[int]
    reports: Mapped[list[Report]] = relationship(back_populates="manager", order_by="Report.id")

    def title(self) -> str:
        """Say who this is, with more respect."""
        return f"Director {super().title()}"


class Engineer(Employee):
    __tablename__ = "engineer"
    __mapper_args__: ClassVar = {"polymorphic_identity": "engineer"}

    id: Mapped[int] = mapped_column(ForeignKey("employee.id"), primary_key=True)
    language: Mapped[str]


class Report(Base):
    __tablename__ = "report"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    manager_id: Mapped[int] = mapped_column(ForeignKey("manager.id"))
    manager: Mapped[Manager] = relationship(back_populates="reports")


class Badge(Base):
    __tablename__ = "badge"

    id: Mapped[int] = mapped_column(primary_key=True)
    employee_id: Mapped[int] = mapped_column(ForeignKey("employee.id"))
    employee: Mapped[Employee] = relationship()


class Vehicle(Base):
    """Single-table inheritance: one table for all classes."""

    __tablename__ = "vehicle"
    __mapper_args__: ClassVar = {"polymorphic_on": "kind", "polymorphic_identity": "vehicle"}

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("company.id"))
    owner: Mapped[Company | None] = relationship()


class Car(Vehicle):
    __mapper_args__: ClassVar = {"polymorphic_identity": "car"}

    seats: Mapped[int | None]


class Truck(Vehicle):
    __mapper_args__: ClassVar = {"polymorphic_identity": "truck"}

    load: Mapped[int | None]


class Shape(ConcreteBase, Base):
    """Concrete inheritance with a table for the base."""

    __tablename__ = "shape"
    __mapper_args__: ClassVar = {"polymorphic_identity": "shape", "concrete": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Circle(Shape):
    __tablename__ = "circle"
    __mapper_args__: ClassVar = {"polymorphic_identity": "circle", "concrete": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    radius: Mapped[int]


class Document(AbstractConcreteBase, Base):
    """Concrete inheritance without one."""

    strict_attrs = True

    title: Mapped[str]


class Letter(Document):
    __tablename__ = "letter"
    __mapper_args__: ClassVar = {"polymorphic_identity": "letter", "concrete": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    sender: Mapped[str]


def company() -> Company:
    """Make a company with one employee of each class."""
    return Company(
        id=1,
        name="Louvre",
        staff=[
            Employee(id=1, name="Eve"),
            Manager(id=2, name="Max", budget=100, reports=[Report(id=1, text="all well")]),
            Engineer(id=3, name="Eric", language="C"),
        ],
    )
