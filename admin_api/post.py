"""Sending what is in the outbox: e-mail by SMTP, webhooks by HTTPS. Threads of the desk's process; no page waits for them.

A message is taken (and so put off by a pause), sent outside of any transaction, and then marked. Whoever dies in between
sends it again: at least once, with a Message-ID or webhook-id that stays the same, by which the receiver can tell.

Webhooks are signed as standardwebhooks.com says, so that existing libraries check them: `webhook-signature` is
`v1,` and the base64 HMAC-SHA256 of "webhook-id.webhook-timestamp.body" under the shared secret.
"""

import base64
import contextlib
import hashlib
import hmac
import http.client
import logging
import smtplib
import ssl
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from pathlib import Path
from urllib.parse import urlsplit

from admin_api import outbox
from change_control.store import Store
from change_control.tables import OutboxRow
from monitoring.syslog import why_not

log = logging.getLogger(__name__)

LOOK_S = 0.5  # what is serious is told within five seconds of the request, and this is a part of them
TIMEOUT_S = 20.0
PRUNE_EVERY = 1800  # looks


class Undeliverable(ValueError):
    """It will not be taken, however often it is tried."""


class NotNow(OSError):
    """It cannot be sent just now; tried again later."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """The mail server that takes our e-mail."""

    host: str
    port: int
    sender: str  # Schoolgate <filter@school.example>
    tls: str = "starttls"  # "starttls", "tls" (from the first byte) or "none"
    user: str = ""
    password_file: str = ""  # mode 0600
    ca: str = ""  # a PEM file of further authorities


@dataclass(frozen=True, slots=True)
class Hook:
    """Someone who wants to be told by HTTPS."""

    name: str
    url: str
    secret_file: str  # mode 0600; the shared secret, as text or as whsec_ and base64
    ca: str = ""  # a PEM file of further authorities


def secret_in(path: str) -> str:
    """The one line of a file that nobody but its owner may read."""
    file = Path(path)
    try:
        mode = file.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise NotNow(f"{path} can be read by others; chmod 600 {path}")
        return file.read_text(encoding="utf-8").strip()
    except NotNow:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise NotNow(f"{path} cannot be read ({getattr(error, 'strerror', None) or 'not a text'})") from None


# --- e-mail ---------------------------------------------------------------------------------------------------------------


def letter(server: MailServer, row: OutboxRow) -> EmailMessage:
    """A message as it leaves: plain text, marked as made by a machine."""
    found = EmailMessage()
    sender = parseaddr(server.sender)[1]
    found["From"], found["To"], found["Subject"] = server.sender, row.to, row.subject
    found["Date"] = format_datetime(row.made.astimezone(UTC))
    mark = hashlib.sha256(f"{row.kind} {row.to} {row.key}".encode()).hexdigest()[:32]
    found["Message-ID"] = f"<{mark}@{sender.rpartition('@')[2]}>"
    found["Auto-Submitted"] = "auto-generated"
    found.set_content(row.text)
    return found


@contextmanager
def connected(server: MailServer) -> Iterator[smtplib.SMTP]:
    """A session with the mail server, encrypted and signed in as configured; NotNow when there is none to be had."""
    with contextlib.ExitStack() as held:
        try:
            context = ssl.create_default_context(cafile=server.ca or None)
            smtp: smtplib.SMTP
            if server.tls == "tls":
                smtp = smtplib.SMTP_SSL(server.host, server.port, timeout=TIMEOUT_S, context=context)
            else:
                smtp = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_S)
            held.callback(_quit, smtp)
            if server.tls == "starttls":
                smtp.starttls(context=context)
            if server.user:
                smtp.login(server.user, secret_in(server.password_file))
        except NotNow:
            raise
        except (smtplib.SMTPException, OSError) as error:
            raise NotNow(f"the mail server {server.host}:{server.port}: {_said(error)}") from None
        yield smtp


def _quit(smtp: smtplib.SMTP) -> None:
    try:
        smtp.quit()
    except (smtplib.SMTPException, OSError):
        smtp.close()


def _said(error: Exception) -> str:
    match error:
        case smtplib.SMTPResponseException(smtp_code=code, smtp_error=text):
            return f"{code} {text.decode('utf-8', 'replace') if isinstance(text, bytes) else text}"
        case OSError():
            return why_not(error)
        case _:
            return str(error) or type(error).__name__


def send_mail(smtp: smtplib.SMTP, server: MailServer, row: OutboxRow) -> None:
    """One message over an open session; Undeliverable when the server will never take it."""
    try:
        smtp.send_message(letter(server, row))
    except smtplib.SMTPRecipientsRefused as error:
        code, text = next(iter(error.recipients.values()))
        why = f"{row.to} was refused: {code} {text.decode('utf-8', 'replace')}"
        raise (Undeliverable(why) if code >= 500 else NotNow(why)) from None
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
        why = f"the mail server refused the message: {_said(error)}"
        raise (Undeliverable(why) if error.smtp_code >= 500 else NotNow(why)) from None
    except ValueError as error:
        raise Undeliverable(f"this cannot be sent as an e-mail: {error}") from None
    except (smtplib.SMTPException, OSError) as error:
        raise NotNow(f"the mail server {server.host}:{server.port}: {_said(error)}") from None


# --- webhooks -------------------------------------------------------------------------------------------------------------


def signature(secret: str, number: str, at: int, body: bytes) -> str:
    """As standardwebhooks.com has it."""
    key = base64.b64decode(secret.removeprefix("whsec_")) if secret.startswith("whsec_") else secret.encode()
    mac = hmac.digest(key, f"{number}.{at}.".encode() + body, "sha256")
    return f"v1,{base64.b64encode(mac).decode()}"


def send_hook(hook: Hook, row: OutboxRow, now: datetime) -> None:
    """One signed POST. Redirects are not followed: the secret is shared with this address and with no other."""
    parts, body, at = urlsplit(hook.url), row.text.encode(), int(now.timestamp())
    host = parts.hostname or ""
    number = "msg_" + hashlib.sha256(f"{row.to} {row.key}".encode()).hexdigest()[:24]
    try:
        signed = signature(secret_in(hook.secret_file), number, at, body)
    except ValueError:
        raise NotNow(f"{hook.secret_file} is not a secret: after whsec_ base64 is expected") from None
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "schoolgate",
        "webhook-id": number,
        "webhook-timestamp": str(at),
        "webhook-signature": signed,
    }
    made: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=hook.ca or None)
        made = http.client.HTTPSConnection(host, parts.port, timeout=TIMEOUT_S, context=context)
    else:
        made = http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT_S)
    with contextlib.closing(made):
        try:
            made.request("POST", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), body, headers)
            status = made.getresponse().status
        except (http.client.HTTPException, OSError) as error:
            raise NotNow(f"the webhook {hook.name}: {_said(error)}") from None
    if status == 410:
        raise Undeliverable(f"the webhook {hook.name} is gone: it answered 410")
    if not 200 <= status < 300:
        raise NotNow(f"the webhook {hook.name} answered {status}")


# --- the sender -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Post:
    """Sends what is due. `watch` is called beside it, again and again, to put into the outbox what has become worth telling:

    in a thread of its own, since it may wait for other machines, and an alarm must not wait for those.
    """

    store: Store
    mail: MailServer | None
    hooks: Mapping[str, Hook]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    watch: Callable[[], None] = lambda: None
    _looks: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: tuple[threading.Thread, ...] = ()

    def start(self, every: float = LOOK_S) -> None:
        self._threads = (
            threading.Thread(target=self._run, args=(self.look, every), name="post", daemon=True),
            threading.Thread(target=self._run, args=(self._watch, 4 * every), name="watch", daemon=True),
        )
        for thread in self._threads:
            thread.start()

    def stop(self, within: float = 2.0) -> None:
        """What is on its way may be cut off: it is sent again after the next start."""
        self._stop.set()
        for thread in self._threads:
            thread.join(within)

    def _run(self, does: Callable[[], object], every: float) -> None:
        while not self._stop.is_set():
            try:
                does()
            except Exception:
                log.warning("cannot look after messages", exc_info=True)
            self._stop.wait(every)

    def _watch(self) -> None:
        if self._looks % PRUNE_EVERY == 0:
            with self.store.write() as session:
                outbox.prune(session, self.now())
        self._looks += 1
        self.watch()

    def look(self) -> int:
        """Send what is due now. Returns how many left."""
        with self.store.read() as session:  # most looks find nothing, and take no lock
            if not session.query(OutboxRow.id).filter(OutboxRow.state == outbox.WAITING, OutboxRow.due <= self.now()).first():
                return 0
        with self.store.write() as session:
            rows = outbox.take(session, self.now())
            for row in [row for row in rows if row.kind == outbox.WEBHOOK and row.to == outbox.ALL_HOOKS]:
                outbox.spread(session, row, self.hooks, self.now())
                rows.remove(row)
        letters = [row for row in rows if row.kind == outbox.EMAIL]
        left = self._letters(letters) if letters else 0  # first: a webhook that does not answer takes 20 seconds
        for row in (row for row in rows if row.kind == outbox.WEBHOOK):
            left += self._done(row, self._hook)
        return left

    def _hook(self, row: OutboxRow) -> None:
        hook = self.hooks.get(row.to)
        if hook is None:
            raise Undeliverable(f"there is no webhook {row.to} any more")
        send_hook(hook, row, self.now())

    def _letters(self, rows: list[OutboxRow]) -> int:
        server, left = self.mail, 0
        try:
            if server is None:
                raise NotNow("no mail server is configured (mail.server)")
            with connected(server) as smtp:
                while rows:
                    row = rows.pop(0)
                    left += self._done(row, lambda one: send_mail(smtp, server, one))
        except NotNow as error:
            for row in rows:
                self._failed(row, error)
        return left

    def _done(self, row: OutboxRow, send: Callable[[OutboxRow], None]) -> bool:
        try:
            send(row)
        except (Undeliverable, NotNow) as error:
            self._failed(row, error)
            return False
        with self.store.write() as session:
            outbox.sent(session, row.id)
        return True

    def _failed(self, row: OutboxRow, error: Exception) -> None:
        with self.store.write() as session:
            final = outbox.not_sent(session, row.id, str(error), self.now(), for_good=isinstance(error, Undeliverable))
        if final or row.tries == 1:
            log.warning("message %d %s: %s", row.id, "given up" if final else "not sent yet, tried again", error)
