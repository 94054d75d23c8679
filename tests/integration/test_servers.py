"""The servers and databases that the other tests stand on."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests import databases, servers
from tests.databases import Database
from tests.servers import Server

CREATE = "CREATE TABLE mark (id INTEGER PRIMARY KEY)"
INSERT = "INSERT INTO mark (id) VALUES (1)"


def refuses(port: int, host: str = servers.HOST) -> bool:
    """Tell whether nobody listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) != 0


def ended(pid: int) -> bool:
    """Tell whether a process is gone, or only waits for init to take notice."""
    state = Path(f"/proc/{pid}/stat")
    try:
        return state.read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def name_of(database: Database) -> str | None:
    """Return a database's name on its server."""
    return make_url(database.url).database


def test_postgres_serves_what_the_tests_need(postgres: Server) -> None:
    """PostgreSQL runs on 127.0.0.1 only, without fsync, with prepared transactions."""
    with databases.postgres_database("psycopg", postgres) as database:
        settings = dict(database.probe.rows("SELECT name, setting FROM pg_settings"))
    assert settings["listen_addresses"] == "127.0.0.1"
    assert settings["unix_socket_directories"] == ""
    assert settings["fsync"] == "off"
    assert settings["max_connections"] == "200"
    assert settings["max_prepared_transactions"] == "10"
    assert settings["deadlock_timeout"] == "50"


def test_settings_of_the_developers_machine_do_not_reach_the_tests() -> None:
    """PGSSLMODE, PGOPTIONS and their like are for other servers than ours."""
    assert [name for name in os.environ if name.startswith("PG")] == []


def test_servers_do_not_run_as_root(postgres: Server) -> None:
    """A server's files belong to the unprivileged user that runs it."""
    assert (postgres.folder / "data").stat().st_uid != 0
    assert (postgres.folder / "data" / "postmaster.pid").stat().st_uid != 0


def test_a_server_ends_with_its_block() -> None:
    """After the block the process, the port and the folder are gone."""
    with servers.postgres_server() as server:
        assert not refuses(server.port)
    assert server.process.returncode == 0
    assert refuses(server.port)
    assert not server.folder.exists()


def test_a_server_ends_with_a_failing_block() -> None:
    """Ctrl-C, or any other exception, stops the server and is not swallowed."""
    with pytest.raises(KeyboardInterrupt), servers.postgres_server() as server:
        raise KeyboardInterrupt
    assert refuses(server.port)
    assert not server.folder.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_server_does_not_outlive_killed_tests() -> None:
    """A test run that is killed leaves neither server nor folder behind."""
    program = (
        "import sys, time; from tests.servers import postgres_server\n"
        "with postgres_server() as server:\n"
        "    print(server.process.pid, server.folder, flush=True)\n"
        "    time.sleep(60)\n"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=root
    ) as tests:
        assert tests.stdout is not None
        pid, folder = tests.stdout.readline().split()
        tests.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + servers.STOP_SECONDS
    while not (ended(int(pid)) and not Path(folder).exists()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert ended(int(pid))
    assert not Path(folder).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to hand its server to another user")
def test_postgres_runs_from_a_private_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root's server starts although only root may read the folder it is installed in."""
    found = servers.find_postgres()
    private = tmp_path / "private"
    package = private / found.parent.name
    shutil.copytree(found, package / found.name, symlinks=True)
    if (libraries := found.parent.with_name(f"{package.name}.libs")).is_dir():
        shutil.copytree(libraries, private / libraries.name)
    private.chmod(0o700)
    monkeypatch.setenv("SQLA_SAFE_TEST_POSTGRES", str(package / found.name))
    with servers.postgres_server() as server:
        assert not refuses(server.port)
        assert (server.folder / "installed").is_dir()


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    """The error of a failed start ends in the server's own words."""

    def command(port: str) -> servers.Command:
        return ["/bin/sh", "-c", f"echo the disk is on fire, port {port}; exit 3"]

    with servers.own_folder("broken") as folder:
        serving = servers.serving(folder, command, servers.ask_postgres, "INT")
        with pytest.raises(servers.ServerError, match="the disk is on fire"):
            serving.__enter__()


def test_mariadb_serves_tables_with_transactions(mariadb: Server) -> None:
    """MariaDB runs when the machine has it, with InnoDB tables by default."""
    with databases.mysql_database("pymysql", mariadb) as database:
        assert database.probe.scalar("SELECT @@default_storage_engine") == "InnoDB"
        assert database.probe.scalar("SELECT @@bind_address") == "127.0.0.1"


@pytest.mark.parametrize("turn", [1, 2])
def test_every_test_gets_a_fresh_database(sync_database: Database, turn: int) -> None:
    """What one test stores, the next one with the same driver does not see."""
    sync_database.probe.execute(CREATE)
    sync_database.probe.execute(INSERT)
    assert sync_database.probe.rows("SELECT id FROM mark") == [(1,)]


def test_the_next_test_does_not_see_what_a_forgotten_transaction_holds(postgres: Server) -> None:
    """PostgreSQL: connections that a test forgot are ended, and all that it made is dropped."""
    with databases.postgres_database("psycopg", postgres) as database:
        database.probe.execute("CREATE SCHEMA other; CREATE TABLE other.mark (id INTEGER)")
        database.probe.execute(f"ALTER DATABASE {name_of(database)} SET work_mem = '1MB'")
        forgotten = database.probe.connect()
        forgotten.autocommit = False
        forgotten.execute("CREATE TABLE mark (id INTEGER)")
    with closing(forgotten), databases.postgres_database("asyncpg", postgres) as another:
        assert name_of(another) == name_of(database)
        assert another.probe.connections() == 0
        assert another.probe.rows("SELECT relname FROM pg_class WHERE relname = 'mark'") == []
        assert another.probe.rows("SELECT nspname FROM pg_namespace WHERE nspname = 'other'") == []
        assert another.probe.rows("SELECT * FROM pg_db_role_setting") == []


def test_two_databases_at_once_are_two(postgres: Server) -> None:
    """A spare PostgreSQL database is given to one block at a time."""
    with (
        databases.postgres_database("psycopg", postgres) as one,
        databases.postgres_database("psycopg", postgres) as two,
    ):
        one.probe.execute(CREATE)
        two.probe.execute(CREATE)


def test_a_database_is_dropped_although_a_transaction_is_open(mariadb: Server) -> None:
    """A transaction that a test forgot does not make MariaDB's DROP DATABASE wait."""
    with databases.mysql_database("pymysql", mariadb) as database:
        database.probe.execute(CREATE)
        forgotten = database.probe.connect()
        forgotten.begin()
        forgotten.cursor().execute(INSERT)
    with databases.mysql_database("pymysql", mariadb) as another:
        names = [name for (name,) in another.probe.rows("SHOW DATABASES")]
    assert name_of(database) not in names
    forgotten.close()


def test_the_probe_sees_a_sync_transaction_left_open(
    sync_engine: Engine, sync_database: Database
) -> None:
    """An open transaction counts as idle in transaction until it ends; its rows do not show."""
    probe = sync_database.probe
    probe.execute(CREATE)
    with sync_engine.connect() as connection:
        connection.execute(text(INSERT))
        assert probe.idle_in_transaction() == 1
        assert probe.rows("SELECT id FROM mark") == []
        connection.commit()
        assert probe.idle_in_transaction() == 0
    assert probe.rows("SELECT id FROM mark") == [(1,)]


async def test_the_probe_sees_an_async_transaction_left_open(
    async_engine: AsyncEngine, async_database: Database
) -> None:
    """An open transaction counts as idle in transaction until it ends; its rows do not show."""
    probe = async_database.probe
    probe.execute(CREATE)
    async with async_engine.connect() as connection:
        await connection.execute(text(INSERT))
        assert probe.idle_in_transaction() == 1
        assert probe.rows("SELECT id FROM mark") == []
        await connection.commit()
        assert probe.idle_in_transaction() == 0
    assert probe.rows("SELECT id FROM mark") == [(1,)]


async def test_the_probe_counts_the_connections_of_its_database_only(
    pg_engine: AsyncEngine, pg: Database, pg_sync_engine: Engine, pg_sync: Database
) -> None:
    """Two databases of one server do not show in each other's count."""
    async with pg_engine.connect(), pg_engine.connect():
        assert (pg.probe.connections(), pg_sync.probe.connections()) == (2, 0)
    with pg_sync_engine.connect():
        assert pg_sync.probe.connections() == 1


def test_a_database_says_what_it_is(sync_engine: Engine, sync_database: Database) -> None:
    """A sync database's description agrees with SQLAlchemy's."""
    assert not sync_database.is_async
    assert sync_engine.dialect.name == sync_database.dialect
    assert sync_engine.dialect.driver == sync_database.driver


def test_an_async_database_says_what_it_is(
    async_engine: AsyncEngine, async_database: Database
) -> None:
    """An async database's description agrees with SQLAlchemy's."""
    assert async_database.is_async
    assert async_engine.dialect.name == async_database.dialect
    assert async_engine.dialect.driver.removesuffix("_async") == async_database.driver
