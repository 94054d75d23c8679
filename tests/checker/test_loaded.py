"""What is there without a loader option of its own, however the code came by it."""

from __future__ import annotations

import pytest

from tests.checker.test_projects import ASYNC, found

MODELS = """
    from sqlalchemy import ForeignKey
    from sqlalchemy.orm import (
        DeclarativeBase,
        Mapped,
        MappedAsDataclass,
        declared_attr,
        mapped_column,
        relationship,
    )

    COMMON = {"lazy": "selectin"}

    class Base(DeclarativeBase):
        id: Mapped[int] = mapped_column(primary_key=True)

    class Team(Base):
        __tablename__ = "teams"
        name: Mapped[str]
        rules: Mapped[list["Rule"]] = relationship()

    class Rule(Base):
        __tablename__ = "rules"
        team_id: Mapped[int] = mapped_column(ForeignKey("teams.id"))

    class Owned:
        @declared_attr
        def team_id(cls) -> Mapped[int]:
            return mapped_column(ForeignKey("teams.id"))

        @declared_attr
        def team(cls) -> Mapped["Team"]:
            return relationship("Team")

    class Build(Owned, Base):
        __tablename__ = "builds"
        tasks: Mapped[list["Task"]] = relationship(back_populates="build")
        repos: Mapped[list["Repo"]] = relationship()
        logs: Mapped[list["Log"]] = relationship(**COMMON)
        linked: Mapped[list["Build"]] = relationship(secondary="links")
        entries: Mapped[list["Entry"]] = relationship(lazy="selectin", back_populates="build")

    class Task(Base):
        __tablename__ = "tasks"
        build_id: Mapped[int] = mapped_column(ForeignKey("builds.id"))
        build: Mapped["Build"] = relationship(back_populates="tasks")
        steps: Mapped[list["Step"]] = relationship(back_populates="task")

    class Step(Base):
        __tablename__ = "steps"
        task_id: Mapped[int] = mapped_column(ForeignKey("tasks.id"))
        task: Mapped["Task"] = relationship(back_populates="steps")

    class Repo(Base):
        __tablename__ = "repos"
        build_id: Mapped[int] = mapped_column(ForeignKey("builds.id"))

    class Log(Base):
        __tablename__ = "logs"
        build_id: Mapped[int] = mapped_column(ForeignKey("builds.id"))

    class Entry(Base):
        __tablename__ = "entries"
        build_id: Mapped[int] = mapped_column(ForeignKey("builds.id"))
        build: Mapped["Build"] = relationship(back_populates="entries")

    class Review(Base):
        __tablename__ = "reviews"
        by: Mapped[int]
        of: Mapped[int]
        author: Mapped["Team"] = relationship(foreign_keys=[by], primaryjoin="...")
        owner: Mapped["Team"] = relationship(foreign_keys=[of], primaryjoin="...")

    class Record(MappedAsDataclass, Base):
        __tablename__ = "records"
        build_id: Mapped[int] = mapped_column(ForeignKey("builds.id"))
        entries: Mapped[list["Build"]] = relationship(lazy="selectin")
"""
APP = """
    from database import Session
    from models import Build, Step, Task, Team
    from sqlalchemy import inspect, select
    from sqlalchemy.orm import selectinload

    async def read(statement):
        async with Session() as session:
            build = (await session.execute({statement})).scalars().first()
            print({read})
"""
HELPERS = """
    def inspected(build):
        if "tasks" not in inspect(build).dict:
            return []
        return build.tasks

    def looked_up(build):
        return build.tasks if "tasks" in build.__dict__ else []

    def told(build):
        return {**build.__dict__, "tasks": len(build.tasks)}

    def plain(build):
        return build.tasks if inspect(build).session else []
"""


def read(expression: str, options: str = "", targets: str = "Build") -> list[str]:
    """Return the codes of what is found where a build is loaded and read so."""
    statement = f"select({targets}){options}"
    app = APP.format(read=expression, statement=statement) + HELPERS
    return [code for _, _, code in found("app", app=app, models=MODELS, database=ASYNC)]


@pytest.mark.parametrize(
    "expression",
    [
        "build.team.name",
        "build.tasks[0].steps",
        "[task.build.repos for task in build.tasks]",
        "plain(build)",
        "told(build)",
    ],
)
def test_what_no_option_loads_is_found(expression: str) -> None:
    """The reads of the tests below are mistakes where nothing has loaded what they read."""
    assert "SQS010" in read(expression)


def test_an_option_may_name_a_relationship_of_a_mixin() -> None:
    """One that a `declared_attr` gives to each class is an attribute of them."""
    options = ".options(selectinload(Build.team).selectinload(Team.rules))"
    assert read("build.team.rules", options) == []


def test_the_way_back_leads_to_the_entity_itself() -> None:
    """What was loaded with a build is there behind `build.tasks[0].build` as well."""
    options = ".options(selectinload(Build.tasks), selectinload(Build.repos))"
    assert read("[task.build.repos for task in build.tasks]", options) == []
    assert read("[task.build.team for task in build.tasks]", options) == ["SQS010"]


def test_others_of_a_class_are_not_the_entity_that_was_loaded() -> None:
    """What a build is linked to comes without its repositories, though the build has its own."""
    options = ".options(selectinload(Build.linked), selectinload(Build.repos))"
    app = APP.format(
        read="[each.repos for each in build.linked]", statement=f"select(Build){options}"
    )
    levels = [level for _, level, _ in found("app", app=app, models=MODELS, database=ASYNC)]
    assert levels == ["error"]


def test_a_relationship_whose_settings_are_elsewhere_may_come_by_itself() -> None:
    """`relationship(**COMMON)` does not say here how it is loaded."""
    assert read("build.logs") == []


def test_an_option_of_one_entity_of_a_row_holds_where_another_leads_to_it() -> None:
    """The session has only one `Task` for each row, whoever asks for it."""
    options = ".join(Task).options(selectinload(Build.tasks), selectinload(Task.steps))"
    assert read("[task.steps for task in build.tasks]", options, "Build, Task") == []


@pytest.mark.parametrize("helper", ["inspected", "looked_up"])
def test_code_may_ask_what_is_loaded(helper: str) -> None:
    """A function that looks before it reads is no mistake of its caller."""
    assert read(f"{helper}(build)") == []


MADE = """
    from database import Session
    from models import Build, Task

    async def make():
        async with Session() as session:
            build = Build()
            {before}
            task = Task(build=build)
            session.add(build)
            await session.flush()
            print(build.tasks)
"""


def test_the_collection_of_a_new_entity_grows_by_the_other_side() -> None:
    """`Task(build=build)` puts the task among the tasks of a build that has no row yet."""
    app = MADE.format(before="pass")
    assert found("app", app=app, models=MODELS, database=ASYNC) == []


def test_the_collection_of_one_that_has_a_row_does_not() -> None:
    """There SQLAlchemy waits until somebody loads it."""
    app = MADE.format(before="session.add(build); await session.flush()")
    codes = [code for _, _, code in found("app", app=app, models=MODELS, database=ASYNC)]
    assert codes == ["SQS010"]


REVIEW = """
    from database import Session
    from models import Review
    from sqlalchemy import select
    from sqlalchemy.orm import selectinload

    async def read():
        async with Session() as session:
            statement = select(Review){options}
            review = (await session.scalars(statement)).first()
            print(review.owner)
"""


@pytest.mark.parametrize(
    ("options", "codes"),
    [("", ["SQS010"]), (".options(selectinload(Review.author))", [])],
)
def test_foreign_keys_in_a_list_say_which_way_a_relationship_leads(
    options: str, codes: list[str]
) -> None:
    """Many-to-one: its target may be one that the session has already."""
    app = REVIEW.format(options=options)
    assert [code for _, _, code in found("app", app=app, models=MODELS, database=ASYNC)] == codes


EAGER = """
    from database import Keeping
    from elsewhere import tell
    from models import Build, Entry, Record
    from sqlalchemy import select

    async def make(name):
        async with Keeping() as session:
            build = {make}
            session.add(build)
            {before}
            print(build.{name})
"""
KEEPING = f"""{ASYNC}
    Keeping = async_sessionmaker(expire_on_commit=False)
"""


@pytest.mark.parametrize(
    ("make", "before", "name", "codes"),
    [
        ("Build()", "await session.commit()", "entries", ["SQS010"]),
        ("Build()", "await session.flush()", "entries", ["SQS010"]),
        ("Build()", "await session.flush()", "id", []),
        ("Build()", "pass", "entries", []),
        ("Build()", "await session.commit(); await session.refresh(build)", "entries", []),
        ("Build()", "await session.flush(); tell(build)", "entries", []),
        ("Build()", "await session.flush(); await session.scalar(select(Build))", "entries", []),
        ("Build(entries=[])", "await session.flush()", "entries", []),
        ("Build()", "build.entries.append(Entry()); await session.flush()", "entries", []),
        ("Build()", "Entry(build=build); await session.flush()", "entries", []),
        ("Record()", "await session.flush()", "entries", []),
        ("Build(**name)", "await session.flush()", "entries", []),
    ],
)
def test_an_eager_relationship_of_what_was_made_here_comes_with_the_next_load(
    make: str, before: str, name: str, codes: list[str]
) -> None:
    """A flush loads nothing: `lazy="selectin"` is for statements and `refresh`."""
    app = EAGER.format(make=make, before=before, name=name)
    assert [code for _, _, code in found("app", app=app, models=MODELS, database=KEEPING)] == codes
