"""The records' tables brought to what this program needs, step by step (Alembic), with what they hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, func, inspect, select

from insula.serve.store.errors import RecordsError
from insula.serve.store.schema import metadata

HEAD: Final = "head"
_SCRIPTS: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 7_305_801_542_116_002  # any number of our own, the same in every replica


@dataclass(frozen=True)
class State:
    """Where the records stand and where this program needs them: numbers of migrations, "" for no tables at all."""

    found: str
    needed: str

    @property
    def current(self) -> bool:
        """Whether nothing is left to do."""
        return self.found == self.needed


def check(engine: Engine) -> State:
    """Where the records stand; nothing is changed. Raises RecordsError as `upgrade`."""
    with engine.connect() as connection:
        return _state(connection)


def upgrade(engine: Engine, to: str = HEAD) -> State:
    """Run the migrations that are missing, in one transaction: all of them or none; where the records stood before.

    Several programs that start at once do it one after the other: the first migrates, the others find it done. On
    SQLite a copy of a changed table takes its place, so room for the largest table is needed. Raises RecordsError for
    records of a newer program, and for tables that were not made by migrations.
    """
    with _alone(engine) as connection:
        before = _state(connection)
        if to != HEAD or not before.current:
            command.upgrade(_config(connection), to)
    return before


def knows(revision: str) -> bool:
    """Whether this program has a migration of that number."""
    return revision in {script.revision for script in ScriptDirectory(str(_SCRIPTS)).walk_revisions()}


def downgrade(engine: Engine, to: str) -> None:
    """Go back to an earlier migration (`base`: no tables), and lose what only later ones hold. Raises as `upgrade`."""
    with _alone(engine) as connection:
        _state(connection)
        command.downgrade(_config(connection), to)


def _state(connection: Connection) -> State:
    scripts = ScriptDirectory(str(_SCRIPTS))
    needed = str(scripts.get_current_head())
    found = MigrationContext.configure(connection).get_current_heads()
    known = {script.revision for script in scripts.walk_revisions()}
    if set(found) - known:
        raise RecordsError(
            f"The records are of migration {', '.join(sorted(found))} and this program knows up to {needed}; "
            "start the newer program, or restore the backup that was made before it."
        )
    if not found and (strange := sorted(set(inspect(connection).get_table_names()) & metadata.tables.keys())):
        raise RecordsError(
            f"The database has a table '{strange[0]}' that no migration of Insula made; give an empty database."
        )
    return State(found[0] if found else "", needed)


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """A transaction that no other migration runs beside."""
    with engine.connect() as connection:
        if connection.dialect.name != "sqlite":
            with connection.begin():
                connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
                yield connection
            return
        driver: Any = connection.connection.dbapi_connection
        # replacing a table would delete the rows that point at it; SQLite only heeds this outside of a transaction
        driver.execute("PRAGMA foreign_keys=OFF")
        try:
            with connection.begin():
                yield connection
                broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
                if broken is not None:
                    raise RecordsError(f"A row of '{broken[0]}' would point at nothing; nothing was changed.")
        finally:
            driver.execute("PRAGMA foreign_keys=ON")


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
