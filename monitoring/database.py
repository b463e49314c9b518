"""How the filter log's database is opened: its tables made, or brought up to this version; SQLite told how to work."""

from pathlib import Path
from secrets import token_hex

import sqlalchemy as sql
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from monitoring.lines import HOUR
from monitoring.tables import NOT_ASKED, SIZES, UNCOUNTED, day_sums, events, folded, hour_sums, hours, meta, metadata
from monitoring.tidying import PAGES

VERSION = 6


class LogTooNew(RuntimeError):
    """The tables were written by a later Schoolgate."""


def connect(url: str) -> sql.Engine:
    """The database, with its tables. Several processes may do this at once."""
    parsed = sql.make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        # Made by us first, for its owner alone: SQLite would make it readable by all; its side files follow suit.
        Path(parsed.database).touch(mode=0o600)
    patience = {"connect_timeout": 5} if parsed.get_backend_name() == "postgresql" else {}
    engine = sql.create_engine(parsed, pool_pre_ping=True, connect_args=patience)
    if engine.dialect.name == "sqlite":
        sql.event.listen(engine, "connect", _tune)
        sql.event.listen(engine, "begin", _begin)
    try:
        with writing(engine).begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(sql.select(sql.func.pg_advisory_xact_lock(0x5C4001)))
            _create(connection)
    except BaseException:
        engine.dispose()
        raise
    return engine


def writing(engine: sql.Engine) -> sql.Engine:
    return engine.execution_options(schoolgate_writes=True)


def _create(connection: sql.Connection) -> None:
    if sql.inspect(connection).has_table(meta.name):
        found = connection.scalar(sql.select(meta.c.value).where(meta.c.name == "version"))
        if found is not None and int(found) > VERSION:
            raise LogTooNew(
                f"the filter log was written by a newer Schoolgate (its version is {found}, this one knows {VERSION}): "
                "update Schoolgate, or give it another log database"
            )
        if found is not None and int(found) == VERSION:
            return
        if found is not None:  # every later version only added tables and indexes, and the fifth the titles of pages
            metadata.create_all(connection)
            if "title" not in {each["name"] for each in sql.inspect(connection).get_columns(events.name)}:
                adding = f"ALTER TABLE events ADD COLUMN title VARCHAR({SIZES['title']}) NOT NULL DEFAULT ''"
                connection.execute(sql.text(adding))
            for table, replaced in ((events, "events_person"), (folded, "folded_person")):
                for index in table.indexes:
                    connection.execute(sql.schema.CreateIndex(index, if_not_exists=True))
                connection.execute(sql.text(f"DROP INDEX IF EXISTS {replaced}"))
            _sum_up(connection)
            _note_begin(connection)
            connection.execute(sql.update(meta).where(meta.c.name == "version").values(value=str(VERSION)))
            return
    metadata.create_all(connection)
    connection.execute(sql.insert(meta).values(name="version", value=str(VERSION)))
    # What pseudonyms are made with: theirs are this log's own, and mean nothing in another.
    connection.execute(sql.insert(meta).values(name="pseudonyms", value=token_hex(32)))


def _note_begin(connection: sql.Connection) -> None:
    """The last day of lines of which `mixes` and `seats` say nothing: one that comes late must not hide them."""
    if connection.scalar(sql.select(meta.c.value).where(meta.c.name == UNCOUNTED)) is None:
        last = max(connection.scalar(sql.select(sql.func.max(table.c.at))) or 0 for table in (events, folded))
        connection.execute(sql.insert(meta).values(name=UNCOUNTED, value=str(last // (24 * HOUR))))


def _sum_up(connection: sql.Connection) -> None:
    """The short counts of what was counted before there were any."""
    for table, period in ((hour_sums, hours.c.hour), (day_sums, hours.c.hour // 24)):
        if connection.scalar(sql.select(table.c["count"]).limit(1)) is not None:
            continue
        by = [period if name in ("hour", "day") else hours.c[name] for name in table.primary_key.columns.keys()]  # noqa: SIM118
        asked = sql.select(*by, sql.func.sum(hours.c["count"])).group_by(*by)
        if table is hour_sums:
            asked = asked.where(hours.c.kind.not_in(NOT_ASKED))
        connection.execute(sql.insert(table).from_select(table.columns.keys(), asked))


def _tune(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves, below
    cursor = connection.cursor()
    for pragma in (
        "busy_timeout=5000",
        "journal_mode=WAL",  # pages read while the recorder writes
        "synchronous=NORMAL",  # a power cut may undo the last commits, whole; the spool's positions go back with them
        "mmap_size=268435456",
        "cache_size=-64000",  # with ten million lines, the pages that a minute's lines go to
        f"wal_autocheckpoint={PAGES}",  # until then it is the tidier's work
        "temp_store=MEMORY",
        "secure_delete=ON",  # what retention deletes is overwritten
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: sql.Connection) -> None:
    # A writer takes its place in the queue at once: turning a reader into a writer fails where another got in between.
    writes = connection.get_execution_options().get("schoolgate_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
