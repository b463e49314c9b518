"""The database of change control: SQLite by default, the same code on PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

MIGRATIONS = Path(__file__).with_name("migrations")


class Store:
    """Sessions for reading and for writing; writers stand in line, readers never wait."""

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        self.sqlite = parsed.get_backend_name() == "sqlite"
        if self.sqlite and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        self._engine = create_engine(parsed, pool_pre_ping=not self.sqlite)
        if self.sqlite:
            event.listen(self._engine, "connect", _tune)
            event.listen(self._engine, "begin", _begin)
        if self.sqlite and parsed.database and Path(parsed.database).exists():
            Path(parsed.database).chmod(0o600)

    @property
    def engine(self) -> Engine:
        return self._engine

    def migrate(self) -> None:
        """Bring the tables to this version; a plain sentence when the database is newer than the product."""
        from alembic import command  # here, since only one process of the box ever migrates, and it is slow to import
        from alembic.config import Config
        from alembic.script import ScriptDirectory

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with self._engine.connect().execution_options(begin="IMMEDIATE") as connection:
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except DBAPIError:
                raise
            except Exception as error:  # Alembic's own family of errors has no common base
                known = ScriptDirectory.from_config(config).get_current_head()
                raise RuntimeError(f"the database cannot be brought to version {known}: {error}") from error
            connection.commit()

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction that may write. It commits at the end, or not at all."""
        with Session(self._engine.execution_options(begin="IMMEDIATE"), expire_on_commit=False) as session, session.begin():
            session.info["writes"] = True
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """One consistent look, without a lock."""
        with Session(self._engine, autoflush=False) as session:
            yield session

    def close(self) -> None:
        self._engine.dispose()


def _tune(connection: Any, _: object) -> None:
    connection.isolation_level = None  # transactions are begun by `_begin` alone
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000", "temp_store=MEMORY"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    mode = connection.get_execution_options().get("begin", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {mode}")
