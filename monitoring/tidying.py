"""SQLite's write-ahead file, brought home beside the recorder instead of by it.

What is committed stands in the write-ahead file until somebody copies it into the database, and waits for the disk; SQLite
leaves that to whoever commits when the file has become long. Here a thread does it, while the recorder goes on: copying
disturbs neither who writes nor who reads. What is written meanwhile stays for the next time. Only when nothing stays does the
file begin anew; with events coming in without a pause that is never, so a committer does the rest when the file is very long.
"""

import sqlite3
import time
from threading import Lock, Thread

from sqlalchemy.engine.interfaces import DBAPICursor

MANY, LATE = 60_000, 60.0  # after so many events, or seconds, it is looked after
PAGES = 48_000  # some 200 MB: what a committer suffers before it does the work itself


PATIENCE = 10.0  # seconds that whoever deletes waits for those who copy or read
PAUSE = 0.1


def emptied(cursor: DBAPICursor, patience: float = PATIENCE) -> bool:
    """Bring all of it home and cut the file to nothing, so that nothing deleted stands in it.

    A tidier that copies just then makes SQLite give up at once, whatever its `busy_timeout`: so it is asked again.
    """
    last = time.monotonic() + patience
    while True:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        busy, *_ = cursor.fetchone() or (0,)
        if not busy or time.monotonic() >= last:
            return not busy
        time.sleep(PAUSE)


class Tidier:
    """One database's. Quiet about trouble: what is not copied now is copied later, by whoever commits."""

    def __init__(self, database: str | None) -> None:
        self._path = database if database and database != ":memory:" else None
        self._one = Lock()
        self._thread: Thread | None = None
        self._count, self._last = 0, time.monotonic()

    def stored(self, count: int) -> None:
        """After a commit of so many events."""
        self._count += count
        due = self._count >= MANY or time.monotonic() - self._last >= LATE
        if self._path is not None and due and self._one.acquire(blocking=False):
            self._count, self._last = 0, time.monotonic()
            self._thread = Thread(target=self._copy, args=(self._path,), name="log-tidier", daemon=True)
            self._thread.start()

    def close(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _copy(self, path: str) -> None:
        try:
            own = sqlite3.connect(path, isolation_level=None, timeout=0)
            try:
                own.execute("PRAGMA wal_checkpoint(PASSIVE)")
            finally:
                own.close()
        except sqlite3.Error:
            pass
        finally:
            self._one.release()
