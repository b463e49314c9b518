"""mitmproxy's flows read and answered: what a request says of itself, and how an Answer of ours becomes its response."""

from mitmproxy import connection, http

from proxy.answer import CANNOT_DECIDE, Answer, wanted
from proxy.block_page import Asker
from proxy.questions import request_site

LONGEST_BODY = 65_536  # bytes of a refused request that are read before it is answered; what is longer is cut


def address(client: connection.Client) -> str:
    return str(client.peername[0])


def asker(flow: http.HTTPFlow) -> Asker:
    headers = flow.request.headers
    asks = headers.get("access-control-request-headers", "")
    want = wanted(
        headers.get("sec-fetch-dest", "").lower(),
        headers.get("accept", "").lower(),
        kind=headers.get("content-type", "").lower(),
        preflight=flow.request.method == "OPTIONS" and "access-control-request-method" in headers,
    )
    return Asker(address(flow.client_conn), want, headers.get("origin", ""), headers.get("accept-language", ""), asks)


def in_tunnel(flow: http.HTTPFlow) -> bool:
    return flow.server_conn.address is not None


def names(flow: http.HTTPFlow) -> list[str]:
    """All that the client calls its destination besides the URL or CONNECT line."""
    request = flow.request
    names = request.headers.get_all("host")
    if request.authority:
        names.append(request.authority)
    if flow.client_conn.sni:
        names.append(flow.client_conn.sni)
    return names


def authority(flow: http.HTTPFlow, host: str) -> str:
    name = f"[{host}]" if ":" in host else host
    usual = 443 if flow.request.scheme == "https" else 80
    return name if flow.request.port == usual else f"{name}:{flow.request.port}"


def url(flow: http.HTTPFlow, query: str) -> str:
    """The address of this same page with another query: absolute, so that a path of `//elsewhere` leads nowhere else."""
    path = flow.request.path.partition("?")[0]
    place = authority(flow, request_site(flow.request.host, (), b"/").host)
    return f"{flow.request.scheme}://{place}{path}" + (f"?{query}" if query else "")


def small_body(flow: http.HTTPFlow, most: int) -> bool:
    """Is the body known to be small? An answer of ours is sent only once the request's body is in memory."""
    length = flow.request.headers.get("content-length", "")
    if "transfer-encoding" in flow.request.headers:
        return False
    return length.isascii() and length.isdecimal() and len(length) < 10 and int(length) <= most


def give(flow: http.HTTPFlow, answer: Answer) -> None:
    """Answer at once; a large upload to a refused page is cut instead, since mitmproxy would read it all first."""
    headers = flow.request.headers
    unsaid = flow.request.is_http2 and flow.request.method in {"POST", "PUT", "PATCH"}  # HTTP/2 need not say a length
    has_body = "transfer-encoding" in headers or headers.get("content-length", "" if unsaid else "0") != "0"
    if has_body and not small_body(flow, LONGEST_BODY):
        flow.kill()
        return
    flow.response = made(answer, flow)


def refuse(flow: http.HTTPFlow) -> None:
    """The refusal that must not fail: whatever happened before, this request is not fetched."""
    try:
        flow.request.stream = False
        give(flow, CANNOT_DECIDE)
    except Exception:  # noqa: BLE001 - then without a page
        flow.kill()


def made(answer: Answer, flow: http.HTTPFlow) -> http.Response:
    body = b"" if flow.request.method == "HEAD" else answer.body
    headers = tuple((name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in answer.headers)
    return http.Response.make(answer.status, body, headers)
