"""The plugin, in projects of their own: strictness, leaks, statement counts, and silence."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.integration.pytest_plugin.support import ASYNCIO, Project


def test_without_options_nothing_is_imported_and_nothing_changes(project: Project) -> None:
    """Whoever has sqla_safe installed and does not use it pays for no import of SQLAlchemy."""
    result = project.run(
        """
        import sys

        def test_it():
            loaded = {name.partition(".")[0] for name in sys.modules}
            assert "sqla_safe" in loaded
            assert not {"sqlalchemy", "greenlet", "msgspec", "asyncpg"} & loaded
        """,
        "-p",
        "no:hypothesispytest",
        coverage=False,
    )
    assert result["test_it"] == "PASSED", result.output
    assert "sqla" not in result.output.replace("sqla-safe", "").lower().partition("collected")[2]


def test_strictness_comes_from_the_command_line_the_file_and_the_marker(project: Project) -> None:
    """The command line wins over the file, the marker of one test over both."""
    tests = """
        import pytest
        from app import Note, Session
        from sqla_safe import configure, scoped_services
        from sqlalchemy.orm.exc import DetachedInstanceError

        configure(Session, expire_on_commit=False, guard="report")

        def read():
            with scoped_services(Session) as scope:
                scope.session.add(note := Note(text="a"))
            return note.text

        def test_project():
            read()

        @pytest.mark.sqla_safe("raise")
        def test_lenient():
            read()

        @pytest.mark.sqla_safe("strict")
        def test_strict():
            with pytest.raises(DetachedInstanceError) as raised:
                read()
            assert "strict mode" in "".join(raised.value.__notes__)
    """
    lenient = project.run(tests)
    assert set(lenient.outcomes.values()) == {"PASSED"}, lenient.output
    strict = project.run(tests, "--sqla-safe=strict")
    assert strict["test_project"] == "FAILED", strict.output
    assert strict["test_lenient"] == strict["test_strict"] == "PASSED", strict.output
    project.write("pytest.ini", "[pytest]\nsqla_safe = strict\n")
    assert project.run(tests)["test_project"] == "FAILED"
    assert project.run(tests, "--sqla-safe=off")["test_project"] == "PASSED"


def test_strictness_reaches_sessions_without_configure(project: Project) -> None:
    """Sessionmakers that nobody configured are guarded too."""
    tests = """
        from app import Note, Session

        def test_it():
            Session.configure(expire_on_commit=False)
            with Session.begin() as session:
                session.add(note := Note(text="a"))
            assert note.text == "a"
    """
    assert project.run(tests)["test_it"] == "PASSED"
    result = project.run(tests, "--sqla-safe=strict")
    assert result["test_it"] == "FAILED"
    assert "SQS" in result.output


@pytest.mark.parametrize(
    ("options", "ini", "marker"),
    [
        (("--sqla-safe=loud",), "", ""),
        ((), "sqla_safe = loud", ""),
        ((), "", '"loud"'),
        ((), "", "1, 2, 3"),
    ],
    ids=["option", "file", "marker", "marker's arguments"],
)
def test_a_wrong_value_is_told(
    project: Project, options: tuple[str, ...], ini: str, marker: str
) -> None:
    """Nothing runs, and the text lists the values that there are."""
    project.write("pytest.ini", f"[pytest]\n{ini}\n")
    mark = f"@pytest.mark.sqla_safe({marker})\n" if marker else ""
    result = project.run(f"import pytest\n\n{mark}def test_it(): pass\n", *options)
    assert result.outcomes == {}
    assert "off, report, raise, strict" in result.output.replace("'", "")


def test_errors_are_explained(project: Project) -> None:
    """A test that fails with SQLAlchemy's own error shows the explanation too."""
    result = project.run(
        """
        from app import Note, Session
        from sqla_safe import scoped_services

        def test_it():
            with scoped_services(Session) as scope:
                scope.session.add(note := Note(text="a"))
            note.text
        """,
        "--sqla-safe=report",
    )
    assert result["test_it"] == "FAILED"
    assert "SQS1" in result.output
    assert "test_it.py:8" in result.output


LEAKS = """
    import asyncio
    import pytest
    from app import AsyncSession, Session, engine
    from sqla_safe import scoped_services

    def test_clean():
        with scoped_services(Session) as scope, engine.connect():
            scope.session.connection()

    def test_scope():
        scoped_services(Session).__enter__()

    def test_connection():
        globals()["kept"] = engine.connect()

    {mark}
    async def test_clean_task():
        await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0.01))
        asyncio.create_task(asyncio.sleep(60)).cancel()

    {mark}
    async def test_task():
        globals()["task"] = asyncio.create_task(asyncio.sleep(60), name="forgotten")

    {mark}
    async def test_async_scope():
        await scoped_services(AsyncSession).__aenter__()

    @pytest.fixture(scope="module")
    def shared():
        with engine.connect() as connection, scoped_services(Session):
            yield connection

    def test_shared_fixture(shared):
        pass

    @pytest.fixture
    def own():
        with engine.connect() as connection, scoped_services(Session):
            yield connection

    def test_own_fixture(own):
        pass

    @pytest.fixture
    def careless():
        return engine.connect()

    def test_careless_fixture(careless):
        pass

    @pytest.mark.sqla_safe(leaks=False)
    def test_excused():
        globals()["block"] = scoped_services(Session)
        globals()["block"].__enter__()
"""

each_runner = pytest.mark.parametrize(
    ("mark", "options"),
    [("pytest.mark.asyncio", (ASYNCIO,)), ("pytest.mark.anyio", ())],
    ids=["pytest-asyncio", "anyio"],
)


@each_runner
def test_what_a_test_leaves_open_fails_it(
    project: Project, mark: str, options: tuple[str, ...]
) -> None:
    """Scopes, connections and tasks; not what fixtures of several tests keep for later."""
    project.write(
        "conftest.py", "import pytest\n@pytest.fixture\ndef anyio_backend(): return 'asyncio'\n"
    )
    result = project.run(LEAKS.replace("{mark}", f"@{mark}"), "--sqla-safe-leaks", *options)
    leaky = {test for test, outcome in result.outcomes.items() if outcome != "PASSED"}
    assert leaky == {
        *("test_scope", "test_connection", "test_task", "test_async_scope"),
        "test_careless_fixture",
    }, result.output
    assert len(result.outcomes) == 10, result.output
    assert "a scope, opened at test_it.py:" in result.output
    assert "a connection, taken from its pool at test_it.py:" in result.output
    assert "the task 'forgotten', waiting at" in result.output


def test_leaks_can_be_asked_for_in_the_file_and_by_the_marker(project: Project) -> None:
    """And are nobody's business otherwise."""
    tests = """
        import pytest
        from app import Session
        from sqla_safe import scoped_services

        def test_it():
            scoped_services(Session).__enter__()

        @pytest.mark.sqla_safe(leaks=True)
        def test_marked():
            scoped_services(Session).__enter__()
    """
    result = project.run(tests)
    assert (result["test_it"], result["test_marked"]) == ("PASSED", "ERROR"), result.output
    project.write("pytest.ini", "[pytest]\nsqla_safe_leaks = true\n")
    assert project.run(tests)["test_it"] == "ERROR"


@each_runner
def test_a_fixture_rolls_back_each_test(
    project: Project, mark: str, options: tuple[str, ...]
) -> None:
    """Sync and async, whichever plugin runs the fixture, and in whatever task it ends."""
    fixture = "pytest_asyncio.fixture" if mark.endswith("asyncio") else "pytest.fixture"
    imported = "import pytest_asyncio" if mark.endswith("asyncio") else ""
    project.write(
        "conftest.py",
        f"""
        import pytest
        {imported}
        from app import AsyncSession, Session
        from sqla_safe.ext.pytest import rolled_back

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        @pytest.fixture
        def database():
            with rolled_back(Session) as test:
                yield test

        @{fixture}
        async def async_database(anyio_backend):
            async with rolled_back(AsyncSession) as test:
                yield test
        """,
    )
    result = project.run(
        f"""
        import pytest
        from app import AsyncSession, Note, Session
        from sqla_safe import scoped_services
        from sqlalchemy import func, select

        COUNT = select(func.count()).select_from(Note)

        @pytest.mark.parametrize("n", [1, 2])
        def test_sync(n, database):
            with scoped_services(Session) as scope:
                scope.session.add(Note(text="a"))
            with scoped_services(Session, propagation="requires_new") as scope:
                assert scope.session.scalar(COUNT) == 1

        @{mark}
        @pytest.mark.parametrize("n", [1, 2])
        async def test_async(n, async_database):
            async with scoped_services(AsyncSession) as scope:
                scope.session.add(Note(text="a"))
            async with scoped_services(AsyncSession, propagation="requires_new") as scope:
                assert await scope.session.scalar(COUNT) == 1
        """,
        "--sqla-safe-leaks",
        "--sqla-safe=strict",
        *options,
    )
    assert list(result.outcomes.values()) == ["PASSED"] * 4, result.output


def test_statements_are_counted_by_a_fixture(project: Project) -> None:
    """`assert_statements` needs no import."""
    result = project.run(
        """
        from app import Note, Session
        from sqlalchemy import select

        def test_right(assert_statements):
            with assert_statements(1), Session() as session:
                session.scalars(select(Note)).all()

        def test_wrong(assert_statements):
            with assert_statements(0), Session() as session:
                session.scalars(select(Note)).all()
        """
    )
    assert (result["test_right"], result["test_wrong"]) == ("PASSED", "FAILED")
    assert "1. test_it.py:11: SELECT note.id, note.text FROM note" in result.output


def test_the_options_are_shown_by_pytest(project: Project) -> None:
    """`--help` and `--markers` explain them."""
    shown = project.run("", "--help").output + project.run("", "--markers").output
    assert "--sqla-safe-leaks" in shown
    assert "@pytest.mark.sqla_safe(mode=None, *, leaks=None)" in shown


def test_the_plugin_itself_imports_pytest_only() -> None:
    """No import of SQLAlchemy, drivers or our own parts when pytest starts."""
    code = (
        "import sys, pytest; before = set(sys.modules); import sqla_safe.ext.pytest_plugin; "
        "print(*sorted({m for m in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["sqla_safe", "sqla_safe.ext", "sqla_safe.ext.pytest_plugin"]
