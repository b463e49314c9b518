"""What people and their machines really use, through the proxy to a site that we look into: each gets what the site sent.

curl by HTTP/1.1 and HTTP/2, wget, git, apt, pip; and Chromium and Firefox, whose page opens a WebSocket, listens for
server-sent events, fetches from a blocked site, and then tells the site how it went.
"""

import asyncio
import hashlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from pathlib import Path
from types import SimpleNamespace

import h2.config
import h2.connection
import h2.events
import pytest

from .conftest import HOSTS, Origin, Site, site_context

PAGE = """<!doctype html><title>Lively</title><p>A page that talks.</p><script>
const said = {events: []}, told = (name, value) => {
  said[name] = value;
  if (said.ws && said.events.length == 2 && said.blocked) fetch("/done", {method: "POST", body: JSON.stringify(said)});
};
const ws = new WebSocket(location.origin.replace(/^http/, "ws") + "/ws");
ws.onopen = () => ws.send("are you there?");
ws.onmessage = event => told("ws", event.data);
const es = new EventSource("/events");
es.onmessage = event => { said.events.push(event.data); if (said.events.length == 2) es.close(); told("events", said.events) };
fetch(location.origin.replace("allowed", "games") + "/x").then(answer => told("blocked", answer.status));
</script>"""
EXPECTED = {"events": ["one", "two"], "ws": "are you there?", "blocked": 403}


class Lively(Site):
    """Files of a folder, a git server, a WebSocket, a stream of events, and a page that uses them."""

    def do_GET(self):  # noqa: N802 - the name that the server calls
        self.server.seen.append(SimpleNamespace(path=self.path, headers=dict(self.headers)))
        path, _, query = self.path.partition("?")
        if self.headers.get("Upgrade", "").lower() == "websocket":
            self.echo()
        elif path.startswith("/git/"):
            self.git(path, query, b"")
        elif path == "/events":
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            self.wfile.write(b"data: one\n\ndata: two\n\n")
            self.close_connection = True
        elif path == "/page":
            self.answer(PAGE.encode(), "text/html; charset=utf-8")
        else:
            file = self.server.folder / path.lstrip("/")
            file = file / "index.html" if file.is_dir() else file
            if file.is_file():
                self.answer(file.read_bytes(), "text/html" if file.suffix == ".html" else "application/octet-stream")
            else:
                self.send_error(404)

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self):  # noqa: N802
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.startswith("/git/"):
            self.git(*self.path.partition("?")[::2], body)
        else:
            self.server.done.put_nowait((self.headers["User-Agent"], json.loads(body)))
            self.answer(b"", "text/plain")

    def answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def git(self, path: str, query: str, body: bytes) -> None:
        said = subprocess.run(
            ["git", "http-backend"],
            input=body,
            capture_output=True,
            check=True,
            env={
                **os.environ,
                "GIT_PROJECT_ROOT": str(self.server.folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            },
        ).stdout
        head, _, content = said.partition(b"\r\n\r\n")
        self.send_response(200)
        for line in head.decode().split("\r\n"):
            self.send_header(*line.split(": ", 1))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def a_repository(folder: Path) -> None:
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    work = folder / "work"
    who = ["-c", "user.name=A Teacher", "-c", "user.email=teacher@school.test"]
    for words in (["init", "-q", str(work)], ["-C", str(work), *who, "commit", "-q", "--allow-empty", "-m", "A lesson"],
                  ["clone", "-q", "--bare", str(work), str(folder / "git" / "lesson.git")]):  # fmt: skip
        subprocess.run(["git", *words], check=True, env=env, capture_output=True)


def a_wheel(folder: Path) -> None:
    place = folder / "simple" / "lesson"
    place.mkdir(parents=True)
    with zipfile.ZipFile(place / "lesson-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("lesson.py", "WORDS = 'hello'\n")
        wheel.writestr("lesson-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: lesson\nVersion: 1.0\n")
        wheel.writestr("lesson-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("lesson-1.0.dist-info/RECORD", "")
    (place / "index.html").write_text('<a href="lesson-1.0-py3-none-any.whl">lesson-1.0-py3-none-any.whl</a>')


def a_package(folder: Path) -> None:
    (folder / "deb" / "DEBIAN").mkdir(parents=True)
    control = (
        "Package: lesson\nVersion: 1.0\nArchitecture: all\nMaintainer: A Teacher <t@school.test>\nDescription: a lesson\n"
    )
    (folder / "deb" / "DEBIAN" / "control").write_text(control)
    (folder / "deb" / "DEBIAN").chmod(0o755)  # dpkg-deb looks, whatever the umask is
    (folder / "apt").mkdir()
    made = folder / "apt" / "lesson.deb"
    subprocess.run(["dpkg-deb", "--build", str(folder / "deb"), str(made)], check=True, capture_output=True)
    data = made.read_bytes()
    rest = f"Filename: ./lesson.deb\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
    (folder / "apt" / "Packages").write_text(control + rest)


@pytest.fixture(scope="module")
def lively(internet, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lively")
    for make in (a_repository, a_wheel, a_package):
        make(folder)
    (folder / "file.bin").write_bytes(b"x" * 300_000)
    site = Origin("127.0.0.1", site_context(folder, internet.ca, HOSTS), site=Lively)
    site.folder, site.done = folder, queue.SimpleQueue()
    yield site
    site.close()


def proxied(school) -> dict[str, str]:
    """A device's environment: nothing of this machine's own proxies and authorities."""
    proxy = f"http://{school.worker.addresses['ks3']}"
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "https_proxy": proxy, "http_proxy": proxy}


def ran(command: list[str], env: dict[str, str]) -> str:
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_programs_that_fetch(school, lively, tmp_path):
    site, env, trust = f"https://allowed.test:{lively.port}", proxied(school), str(school.both)
    for version in ("--http1.1", "--http2"):
        got = school.curl("ks3", f"{site}/file.bin", version)
        assert (got.status, len(got.body), got.line[:6]) == (200, 300_000, {"--http2": "HTTP/2"}.get(version, "HTTP/1"))
    ran(["wget", "-q", f"--ca-certificate={trust}", "-O", str(tmp_path / "got"), f"{site}/file.bin"], env)
    assert (tmp_path / "got").stat().st_size == 300_000
    ran(["git", "-c", f"http.sslCAInfo={trust}", "clone", "-q", f"{site}/git/lesson.git", str(tmp_path / "lesson")], env)
    assert ran(["git", "-C", str(tmp_path / "lesson"), "log", "--format=%s"], env) == "A lesson\n"
    pip = Path(sys.prefix).parent / ".tools" / "bin" / "pip"
    ran([str(pip), "download", "-q", "--no-deps", "--no-cache-dir", "--isolated", f"--cert={trust}", "-d", str(tmp_path),
         f"--proxy={env['https_proxy']}", f"--index-url={site}/simple/", "lesson"], env)  # fmt: skip
    assert zipfile.ZipFile(tmp_path / "lesson-1.0-py3-none-any.whl").read("lesson.py") == b"WORDS = 'hello'\n"
    assert lively.seen
    assert {event.host for event in school.events} == {"allowed.test"}


def test_apt(school, lively, tmp_path):
    for name in ("state/lists/partial", "cache/archives/partial", "etc"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "status").write_text("")
    (tmp_path / "sources").write_text(f"deb [trusted=yes] https://allowed.test:{lively.port}/apt ./\n")
    options = {
        "Dir::State": tmp_path / "state", "Dir::State::status": tmp_path / "status", "Dir::Cache": tmp_path / "cache",
        "Dir::Etc": tmp_path / "etc", "Dir::Etc::sourcelist": tmp_path / "sources", "APT::Sandbox::User": "",
        "Acquire::https::CaInfo": school.both, "Acquire::https::Proxy": proxied(school)["https_proxy"],
    }  # fmt: skip
    words = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    ran(["apt-get", "-q", *words, "update"], proxied(school))
    subprocess.run(["apt-get", "-q", *words, "download", "lesson"], cwd=tmp_path, env=proxied(school), check=True, timeout=60)
    assert (tmp_path / "lesson_1.0_all.deb").read_bytes() == (lively.folder / "apt" / "lesson.deb").read_bytes()


def trusting(folder: Path, ca: Path) -> None:
    folder.mkdir(parents=True)
    subprocess.run(["certutil", "-N", "-d", f"sql:{folder}", "--empty-password"], check=True)
    subprocess.run(["certutil", "-A", "-d", f"sql:{folder}", "-n", "filter", "-t", "C,,", "-i", str(ca)], check=True)


def chromium(school, tmp_path, url) -> list[str]:
    trusting(tmp_path / ".pki" / "nssdb", school.ca)
    return ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={tmp_path}/c",
            f"--proxy-server=http://{school.worker.addresses['ks3']}", url]  # fmt: skip


def firefox(school, tmp_path, url) -> list[str]:
    profile = tmp_path / "profile"
    trusting(profile, school.ca)
    host, port = school.proxy("ks3")
    prefs = {"network.proxy.type": 1, "network.proxy.http": host, "network.proxy.http_port": port, "network.proxy.ssl": host,
             "network.proxy.ssl_port": port, "datareporting.policy.dataSubmissionEnabled": False,
             "network.captive-portal-service.enabled": False, "app.update.enabled": False}  # fmt: skip
    (profile / "user.js").write_text("".join(f"user_pref({json.dumps(k)}, {json.dumps(v)});\n" for k, v in prefs.items()))
    return ["firefox-esr", "--headless", "--no-remote", "--profile", str(profile), url]


@pytest.mark.parametrize(("browser", "named"), [(chromium, "Chrome"), (firefox, "Firefox")])
def test_browsers(school, lively, tmp_path, browser, named):
    """The page tells the site how its WebSocket, its stream of events and its fetch from a blocked site went."""
    agent, said = visited(school, lively, tmp_path, browser(school, tmp_path, f"https://allowed.test:{lively.port}/page"))
    assert named in agent
    assert said == EXPECTED
    shutil.rmtree(tmp_path, ignore_errors=True)


def visited(school, lively, home, command):
    """What a browser's page told the site."""
    env = {**os.environ, "HOME": str(home)}
    with subprocess.Popen(
        command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            school.until(lambda: not lively.done.empty(), 60)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    return lively.done.get_nowait()


# --- HTTP/2 from end to end ----------------------------------------------------------------------------------------------


class Two(asyncio.Protocol):
    """A site that speaks HTTP/2, and says so."""

    def __init__(self, seen: list[dict[str, str]]) -> None:
        self.seen, self.begun = seen, False
        self.said = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))

    def connection_made(self, transport):
        self.transport = transport
        self.said.initiate_connection()
        transport.write(self.said.data_to_send())

    def data_received(self, data):
        for event in self.said.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                self.seen.append(dict(event.headers))
            call = bool(self.seen) and self.seen[-1].get("content-type") == "application/grpc"
            if isinstance(event, h2.events.DataReceived) and call and not self.begun:  # answered before its end is here
                self.begun = True
                self.said.send_headers(event.stream_id, [(":status", "200"), ("content-type", "application/grpc")])
                self.said.send_data(event.stream_id, b"\0\0\0\0\2hi")
            if isinstance(event, h2.events.StreamEnded) and self.begun:
                self.said.send_headers(event.stream_id, [("grpc-status", "0"), ("grpc-message", "done")], end_stream=True)
            elif isinstance(event, h2.events.StreamEnded):
                self.said.send_headers(event.stream_id, [(":status", "200"), ("content-type", "text/plain")])
                self.said.send_data(event.stream_id, b"by HTTP/2", end_stream=True)
        self.transport.write(self.said.data_to_send())


@pytest.fixture
def two(internet, tmp_path):
    context, seen, ready = site_context(tmp_path, internet.ca, HOSTS), [], threading.Event()
    context.set_alpn_protocols(["h2"])
    made = SimpleNamespace(seen=seen)

    async def serve():
        made.loop, made.stop = asyncio.get_running_loop(), asyncio.Event()
        server = await made.loop.create_server(lambda: Two(seen), "127.0.0.1", 0, ssl=context)
        made.port = server.sockets[0].getsockname()[1]
        ready.set()
        await made.stop.wait()
        server.close()
        server.abort_clients()
        await server.wait_closed()  # those too whose greeting had only begun

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    yield made
    made.loop.call_soon_threadsafe(made.stop.set)
    thread.join()


def test_http2_from_the_browser_to_the_site(school, two):
    got = school.curl("ks3", f"https://allowed.test:{two.port}/lesson", "--http2")
    assert (got.line, got.text) == ("HTTP/2 200 ", "by HTTP/2")
    assert [(each[":authority"], each[":path"]) for each in two.seen] == [(f"allowed.test:{two.port}", "/lesson")]
    got = school.curl("ks3", f"https://allowed.test:{two.port}/", "--http2", "-H", "Host: games.test")
    assert (got.status, len(two.seen)) == (403, 1)  # another :authority, judged for its stream


def test_a_site_that_speaks_http2_alone_and_a_client_that_does_not(school, two):
    """Both sides speak one version: mitmproxy offers a site what the client offered."""
    got = school.curl("ks3", f"https://allowed.test:{two.port}/", "--http1.1")
    assert got.status == 502
    assert two.seen == []


def test_a_grpc_call_speaks_both_ways_and_ends_with_its_status(school, two):
    said = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    place = f"allowed.test:{two.port}"
    with school.tunnel("ks3", place, "allowed.test", alpn=["h2"]) as tunnel:

        def until(kind):
            while True:
                for event in said.receive_data(tunnel.recv(65536)):
                    if isinstance(event, kind):
                        return event
                tunnel.sendall(said.data_to_send())

        said.initiate_connection()
        head = [(":method", "POST"), (":scheme", "https"), (":authority", place), (":path", "/pkg.Service/Call"),
                ("content-type", "application/grpc"), ("te", "trailers")]  # fmt: skip
        said.send_headers(1, head)
        said.send_data(1, b"\0\0\0\0\1a")
        tunnel.sendall(said.data_to_send())
        assert until(h2.events.DataReceived).data == b"\0\0\0\0\2hi"  # before the call has ended
        said.send_data(1, b"\0\0\0\0\1b", end_stream=True)
        tunnel.sendall(said.data_to_send())
        assert dict(until(h2.events.TrailersReceived).headers) == {"grpc-status": "0", "grpc-message": "done"}
