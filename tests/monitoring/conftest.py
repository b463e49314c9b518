from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sql

from monitoring.log import Log
from monitoring.tables import metadata


@pytest.fixture(scope="session")
def log_database(postgres: str) -> Iterator[sql.Engine]:
    """One PostgreSQL database for all tests of the log."""
    engine = sql.create_engine(postgres, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sql.text("CREATE DATABASE log ENCODING 'UTF8' TEMPLATE template0"))
    engine.dispose()
    engine = sql.create_engine(sql.make_url(postgres).set(database="log"))
    yield engine
    engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with nothing in it, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'log.db'}"
    engine: sql.Engine = request.getfixturevalue("log_database")
    with engine.begin() as connection:  # a new database each time would take a second each
        if sql.inspect(connection).has_table("meta"):
            connection.execute(
                sql.text(f"TRUNCATE {', '.join(table.name for table in metadata.sorted_tables)} RESTART IDENTITY")
            )
    return engine.url.render_as_string(hide_password=False)


@pytest.fixture
def log(url: str) -> Iterator[Log]:
    with Log(url) as opened:
        yield opened


@pytest.fixture
def rows(log: Log) -> Callable[[str], int]:
    def count_rows(table: str) -> int:
        with log.open().connect() as connection:
            return connection.scalar(sql.text(f"SELECT count(*) FROM {table}")) or 0

    return count_rows
