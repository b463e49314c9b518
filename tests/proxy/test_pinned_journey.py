"""An application that pins, over real sockets: proposed, logged, opened by nobody."""

import socket
import ssl

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ResponseReceived, StreamReset

from policy.event import NEVER_INSPECT
from proxy.pinned import TIMES, reference


def refuses(school, host, device):
    """A client that trusts only the site's own authority, as an application with a pin does."""
    context = ssl.create_default_context(cafile=school.internet.ca.path)
    with socket.create_connection(school.proxy("ks3"), timeout=10, source_address=(device, 0)) as sock:
        target = f"{host}:{school.internet.https.port}"
        sock.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        sock.recv(4096)
        with pytest.raises(ssl.SSLCertVerificationError):
            context.wrap_socket(sock, server_hostname=host)


def wait_for(school, count, kind="connection"):
    school.until(lambda: sum(event.kind == kind for event in school.events) >= count)


def test_a_pinned_application_is_proposed_to_the_head(school):
    host, devices = "other.test", [f"127.0.0.{n + 20}" for n in range(TIMES)]
    for n, device in enumerate(devices):
        assert school.browse("ks3", "https://allowed.test:{https}/", "--interface", device).status == 200  # it trusts us
        refuses(school, host, device)
        wait_for(school, n + 1)
    wait_for(school, 1, "request")
    (proposed,) = [event for event in school.events if event.kind == "request"]
    assert (proposed.host, proposed.reason, proposed.outcome) == (host, NEVER_INSPECT, reference("hillview", host))
    assert [event.outcome for event in school.events if event.kind == "connection"] == ["no trust"] * TIMES
    assert not [each for each in school.seen() if each.headers["host"].startswith(host)]


def test_every_stream_of_http2_has_the_tunnels_name(school):
    """One connection, three streams: the middle one names another site, and it alone is refused."""
    port = school.internet.https.port
    with school.tunnel("ks3", f"allowed.test:{port}", "allowed.test", alpn=("h2",)) as tunnel:
        assert tunnel.selected_alpn_protocol() == "h2"
        speaker = H2Connection(H2Configuration(client_side=True, validate_outbound_headers=False))
        speaker.initiate_connection()
        for stream, authority in ((1, "allowed.test"), (3, "games.test"), (5, "allowed.test")):
            speaker.send_headers(
                stream, [(":method", "GET"), (":scheme", "https"), (":authority", authority), (":path", "/")], end_stream=True
            )
        tunnel.sendall(speaker.data_to_send())
        answers = {}
        while len(answers) < 3:
            for event in speaker.receive_data(tunnel.recv(65536)):
                if isinstance(event, ResponseReceived):
                    answers[event.stream_id] = dict(event.headers)[b":status"]
                elif isinstance(event, StreamReset):
                    answers[event.stream_id] = b"reset"
            tunnel.sendall(speaker.data_to_send())
    assert answers == {1: b"200", 3: b"403", 5: b"200"}
    assert len(school.seen()) == 2
