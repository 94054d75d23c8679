"""Many-to-ones that look as if their key alone led to the target, and some that are narrowed."""

from __future__ import annotations

from sqlalchemy import ForeignKey, String, and_, or_
from sqlalchemy.orm import DeclarativeBase, Mapped, foreign, mapped_column, relationship


class Base(DeclarativeBase):
    """The tables of these joins."""


class Part(Base):
    __tablename__ = "part"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str | None]
    low: Mapped[int] = mapped_column(default=1)
    high: Mapped[int] = mapped_column(default=2)


class Order(Base):
    """Refers to a part by its key or its code, and to parts with a condition of their own."""

    __tablename__ = "order"

    id: Mapped[int] = mapped_column(primary_key=True)
    part_id: Mapped[int | None] = mapped_column(ForeignKey("part.id"))
    part_code: Mapped[str | None]
    either: Mapped[Part | None] = relationship(
        primaryjoin=lambda: or_(
            foreign(Order.part_id) == Part.id, foreign(Order.part_code) == Part.code
        ),
        viewonly=True,
    )
    level: Mapped[Part | None] = relationship(
        primaryjoin=lambda: and_(foreign(Order.part_id) == Part.id, Part.low == Part.high),
        viewonly=True,
    )
    always: Mapped[Part | None] = relationship(
        primaryjoin=lambda: foreign(Order.part_id) == Part.id, innerjoin=True, viewonly=True
    )


class Staff(Base):
    """Single-table and joined inheritance; some columns have other names than their attributes."""

    __tablename__ = "staff"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "staff"}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]


class Chief(Staff):
    __mapper_args__ = {"polymorphic_identity": "chief"}  # noqa: RUF012

    budget: Mapped[int | None] = mapped_column("bud")


class Guard(Staff):
    __tablename__ = "guard"
    __mapper_args__ = {"polymorphic_identity": "guard"}  # noqa: RUF012

    id: Mapped[int] = mapped_column("guard_no", ForeignKey("staff.id"), primary_key=True)
    post: Mapped[str | None] = mapped_column("pst")


class NightGuard(Guard):
    __mapper_args__ = {"polymorphic_identity": "night guard"}  # noqa: RUF012

    lamp: Mapped[str | None] = mapped_column("lmp", String)
