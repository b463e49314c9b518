import shutil
from contextlib import closing
from pathlib import Path
from sqlite3 import connect

from monitoring.tidying import MANY, Tidier, emptied


def test_what_was_written_ahead_comes_home_while_others_write(tmp_path: Path):
    path, alone = tmp_path / "log.db", tmp_path / "alone.db"
    with closing(connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("PRAGMA wal_autocheckpoint=0")
        writer.execute("CREATE TABLE said (word)")
        writer.execute("INSERT INTO said VALUES ('home')")
        tidier, before = Tidier(str(path)), path.stat().st_size
        tidier.stored(1)
        tidier.close()
        assert path.stat().st_size == before  # not yet worth it
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO said VALUES ('later')")
        tidier.stored(MANY)
        tidier.close()
        writer.execute("COMMIT")
        shutil.copy(path, alone)  # without its write-ahead file
    with closing(connect(alone)) as reader:
        assert reader.execute("SELECT word FROM said").fetchall() == [("home",)]


def test_a_database_that_is_gone_or_in_memory_troubles_nobody(tmp_path: Path):
    for database in (None, ":memory:", str(tmp_path / "no" / "such.db")):
        tidier = Tidier(database)
        tidier.stored(MANY)
        tidier.close()


class Busy:
    """What SQLite says while somebody else copies, so often."""

    def __init__(self, times: int) -> None:
        self.times = times

    def execute(self, _: str) -> None:
        self.times -= 1

    def fetchone(self) -> tuple[int, int, int]:
        return (self.times >= 0, 0, 0)


def test_whoever_deletes_waits_for_who_copies():
    assert emptied(Busy(2))
    assert not emptied(Busy(2), patience=0.0)
