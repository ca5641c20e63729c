"""A PostgreSQL server of the tests' own: a new one in a temporary folder, on a free port of this machine alone."""

import importlib.util
import os
import shutil
import socket
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Server", "missing", "served"]

PASSWORD = "only of these tests"


@dataclass(frozen=True)
class Server:
    """Where it listens, as its owner."""

    port: int

    def url(self, database: str = "postgres", user: str = "owner") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def ask(self, statement: str, database: str = "postgres") -> list[Any]:
        """Do a statement outside of surefoot."""
        from pg8000 import dbapi

        connection = dbapi.connect("owner", "127.0.0.1", database, self.port, PASSWORD)
        connection.autocommit = True
        try:
            cursor = connection.cursor()
            cursor.execute(statement)
            return [list(row) for row in cursor.fetchall()] if cursor.description else []
        finally:
            connection.close()


def missing() -> str:
    """What a server needs that is not here; "" where nothing is missing."""
    if importlib.util.find_spec("pg8000") is None:
        return "pg8000 is not installed"
    return "" if shutil.which("initdb") and shutil.which("postgres") else "no PostgreSQL server is installed"


@contextmanager
def served(folder: Path) -> Generator[Server]:
    """The server, from now on and no longer than this."""
    folder.mkdir()
    as_whom: dict[str, Any] = {}
    if os.getuid() == 0:  # the server refuses to be root
        as_whom = {"user": "postgres", "group": "postgres"}
        shutil.chown(folder, "postgres", "postgres")
        for each in folder.parents:
            if each.is_relative_to("/tmp/") and str(each) != "/tmp":
                each.chmod(0o755)
    secret = folder / "password"
    secret.write_text(PASSWORD)
    data = folder / "data"
    make = ["initdb", "-D", data, "-U", "owner", "-A", "scram-sha-256", "--pwfile", secret, "-E", "UTF8", "--no-sync"]
    if os.getuid() == 0:
        shutil.chown(secret, "postgres", "postgres")
    subprocess.run(make, check=True, capture_output=True, cwd=folder, **as_whom)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    told = ["postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", "", "-F"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(told, stdout=log, stderr=log, cwd=folder, **as_whom)
    try:
        _wait(port, server)
        yield Server(port)
    finally:
        server.terminate()
        server.wait(timeout=60)


def _wait(port: int, server: "subprocess.Popen[bytes]") -> None:
    import time

    until = time.monotonic() + 60
    while True:
        try:
            Server(port).ask("SELECT 1")
            return
        except Exception:
            if server.poll() is not None or time.monotonic() > until:
                raise
            time.sleep(0.1)
