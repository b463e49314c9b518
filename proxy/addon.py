"""The enforcing addon: every connection, tunnel and request is decided here before anything of it is fetched.

mitmproxy swallows an addon's exception and fetches the page. So each hook is an edge that catches everything itself and
answers with a refusal, and a connection upstream opens only to what a decision let through (embedding.Handler).

The order for one request, and why:

 1. Has someone answered, or is it no HTTP?  mitmproxy refuses malformed requests itself.
 2. Who is asking?      Listener and address; a public address of no school gets a closed connection, not even a page.
 3. What for, exactly?  One canonical host by all its names, before anything looks at it.
 4. schoolgate.internal is ours, and is never looked up or decided.
 5. Which port?         Only the web's.
 6. decide()            on host and path: the only thing that decides.
 7. Block or warn       with the answer that this kind of request can use.
 8. Restrict            safe search forced.
 9. Let through         our own marks stripped, bodies streamed, the destination opened for this connection.
10. Record              whatever happened. It cannot fail the request.

A page of a site that is looked into is held back, up to a bound, until its words are judged: by `decide` again, now with what
they are about. A search that is sent as a form waits for its words in the same way.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from mitmproxy import connection, http

from category_lists.names import NameRefused, Site
from policy import tenants
from policy.decide import Decision, Question, Reason, decide, reader, suspected
from policy.event import Event, Kind
from policy.identity import Client
from policy.rules import Action, Handling
from policy.search_engines import Engine
from policy.snapshot import Snapshot
from proxy import flows, passes
from proxy.answer import CANNOT_DECIDE, Answer, Wanted
from proxy.block_page import Asker, Pages
from proxy.connections import Gatekeeper
from proxy.content import is_page, unpacked
from proxy.destinations import web_port
from proxy.failures import BAD_CERTIFICATE
from proxy.inside import HELD
from proxy.internal import HOST as INTERNAL
from proxy.internal import LONGEST_FORM, Internal
from proxy.nearby import Nearby
from proxy.needs import Needs
from proxy.portal import Portal
from proxy.questions import question, request_site
from proxy.reach import INNER_ADDRESS
from proxy.record import Record
from proxy.restrict import forced_headers, safe_cookies, safe_query
from proxy.tunnels import HasSnapshot, Tunnels, clock
from proxy.visits import Visit
from proxy.wording import LONGEST_TERM, NOTHING, Said, Wording

log = logging.getLogger(__name__)

TUNNELS = frozenset({"SSTP_DUPLEX_POST", "CONNECT"})  # methods that ask for no page: a VPN's, inside a page's connection
LONGEST_POSTED = 262_144  # bytes of a search that is sent as a form or as JSON
BETWEEN_US = ("proxy-connection", "proxy-authorization")  # what a browser says to its proxy is not for the site
# flow.metadata, for the hooks that come later:
ASKED = "schoolgate.event"  # the event of what was let through
PAGE = "schoolgate.page"  # the question that a page's words are judged with
COOKIES = "schoolgate.cookies"  # as the client sent them
POSTED = "schoolgate.posted"  # a search whose words are yet to come


class Judge:
    """The hooks. `name` is how mitmproxy knows the addon."""

    name = "schoolgate"

    def __init__(
        self,
        live: HasSnapshot,
        record: Record,
        tunnels: Tunnels,
        *,
        pages: Pages,
        internal: Internal,
        portal: Portal,
        form_key: bytes,
        gate: Gatekeeper,
        wording: Wording,
        names: frozenset[str] = frozenset({INTERNAL}),  # that are ours
        pages_at: frozenset[str] = frozenset(),  # listeners where DNS leads blocked names
        nearby: Nearby = Nearby(),  # noqa: B008 - a frozen value
        now: Callable[[], datetime] = clock,
    ) -> None:
        self._live, self._record, self._tunnels = live, record, tunnels
        self._pages, self._internal, self._passes = pages, internal, passes.Passes(form_key)
        self._portal, self._names = portal, names
        self._pages_at, self._nearby = pages_at, nearby
        self._gate, self._wording, self._needs = gate, wording, Needs()
        self._now = now

    # --- the request -------------------------------------------------------------------------------------------------

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        if flow.response or flow.error:  # 1.
            return
        try:
            if not flow.client_conn.connected:
                flow.kill()  # mitmproxy has refused the request and closed; nothing of it may go on
                return
            answer = self._judge(flow)
            if answer is not None:
                flows.give(flow, answer)
        except Exception:  # noqa: BLE001 - the enforcing edge
            flows.refuse(flow)
            self._record.trouble("a request", flows.address(flow.client_conn), flow.request.host)

    def _judge(self, flow: http.HTTPFlow, body: bytes | None = None) -> Answer | None:
        """Our answer, or None when the request may go on to the site; `body` once it is here and was waited for."""
        request, at = flow.request, self._now()
        client = self._client(flow.client_conn)  # 2.
        if client is None:
            flow.kill()
            return None
        asker = flows.asker(flow)
        try:
            site = request_site(request.host, flows.names(flow), request.data.path)  # 3.
        except NameRefused:
            self._record(self._record.refused(client, asker.address, request.host, "name"))
            return self._pages.message(
                403, "This address is not right", "The request did not name one site in a way that can be checked.", asker
            )
        if site.host in self._names or self._is_us(flow, site):  # 4.
            return self._at_home(flow, site)
        if flow.client_conn.proxy_mode.data in self._pages_at:
            return self._led_here(flow, client, site, asker)
        if not web_port(request.port) and not flows.in_tunnel(flow):  # 5.; a tunnel's port was judged when it was asked for
            self._record(self._record.refused(client, asker.address, site.host, f"port {request.port}"))
            return self._pages.message(403, "This address is not right", "It is not a web address.", asker)
        if request.method.upper() in TUNNELS:
            self._record(self._record.refused(client, asker.address, site.host, "protocol"))
            return self._pages.message(403, "This address is not right", "A tunnel is not a web page.", asker)
        snapshot = self._live.snapshot
        profile = snapshot.profile(client.school, client.group)
        engine = profile.dictionary.engines.find(site.host)
        term = engine.term(site.path or "/", site.query) if engine else ""
        if engine and request.method == "POST" and site.path in engine.posted and not term:
            if body is None:
                return self._wait_for_words(flow, asker)
            term = engine.sent_words(site.path or "/", body)
        said = self._wording.search(term, profile)
        asked = question(client, site.host, site.path, at, site.query, said.names)
        decision = decide(snapshot, asked)  # 6.
        event = self._page_event(client, flow, asked, decision, term, said)
        query, marker = passes.taken_from_query(site.query)
        cookies, cookie = passes.taken_from_cookies(request.headers.get("cookie", ""))
        if decision.action is Action.BLOCK:  # 7.
            self._record(event._replace(outcome="403"))
            return self._refusal(flow, snapshot, decision, asked, asker)
        if decision.action is Action.WARN:
            now = at.timestamp()
            if marker and self._passes.accepts(marker, asker.address, site.host, now):
                self._passes.remember(asker.address, site.host, now)
                self._record(event._replace(outcome="went on"))
                return _back(flow, query, marker)
            if not self._may_pass(asker, site.host, cookie, now):
                self._record(event._replace(outcome="warned"))
                token = self._passes.token(asker.address, site.host, now)
                return self._pages.warn(snapshot, decision, asked, asker, flows.url(flow, passes.onward(query, token)))
        if engine := _restricting(snapshot, asked, decision):  # 8.
            query = safe_query(engine, site.path or "/", query)
            cookies = safe_cookies(engine, cookies)
            for name, value in forced_headers(engine, profile.video).items():
                request.headers[name] = value
        for name, value in tenants.headers(site.host, profile).items():
            request.headers[name] = value
        if decision.handling is Handling.INSPECT and asker.want is Wanted.PAGE and profile.wording != "off":
            flow.metadata[PAGE], flow.metadata[COOKIES] = asked, f"{passes.NAME}={cookie}" if cookie else ""
            request.headers["accept-encoding"] = "gzip"  # what we can read
        self._go_on(flow, site, query, cookies)  # 9.
        flow.metadata[ASKED] = event
        self._record(event)  # 10.
        return None

    def _refusal(self, flow: http.HTTPFlow, snapshot: Snapshot, decision: Decision, asked: Question, asker: Asker) -> Answer:
        if decision.reason is Reason.NOT_SIGNED_IN:
            return self._portal.lead(asker, asked.host, asked.path or "/")
        now, headers = asked.at.timestamp(), flow.request.headers
        if decision.reason is not Reason.SEALED:
            self._needs.refused(asker.address, headers.get("referer") or headers.get("origin", ""), asked.host, now)
        needs = self._needs.of(asker.address, asked.host, now)
        return self._pages.block(snapshot, decision, asked, asker, needs)

    def _go_on(self, flow: http.HTTPFlow, site: Site, query: str, cookies: str) -> None:
        request = flow.request
        if query != site.query:
            request.path = request.path.partition("?")[0] + (f"?{query}" if query else "")
        if cookies != request.headers.get("cookie", ""):
            request.headers.pop("cookie", None)
            if cookies:
                request.headers["cookie"] = cookies
        for name in BETWEEN_US:
            request.headers.pop(name, None)
        request.data.host = site.host  # its canonical spelling; the Host header stays as the client wrote it
        if not request.is_http2:
            request.authority = ""
            request.headers.setdefault("host", flows.authority(flow, site.host))
        request.stream = POSTED not in flow.metadata  # what was waited for is here
        self._gate.let_through(flow.client_conn, site.host, request.port)

    def _may_pass(self, asker: Asker, host: str, cookie: str, now: float) -> bool:
        return self._passes.remembered(asker.address, host, now) or (
            bool(cookie) and self._passes.accepts(cookie, asker.address, host, now)
        )

    def _is_us(self, flow: http.HTTPFlow, site: Site) -> bool:
        """Is this asked of the box itself, as devices do for the proxy's own file of settings?"""
        own = flow.client_conn.sockname
        ports = (*self._nearby.plain, own[1])
        return bool(own) and not flow.client_conn.tls and site.host == own[0] and flow.request.port in ports

    def _led_here(self, flow: http.HTTPFlow, client: Client, site: Site, asker: Asker) -> Answer:
        """Someone whom DNS led here instead of to a blocked site. INVARIANT: nothing is ever fetched at such a listener."""
        asked = replace(question(client, site.host, site.path, self._now(), site.query), path_follows=False)
        snapshot = self._live.snapshot
        decision = decide(snapshot, asked)
        if decision.action is not Action.BLOCK:
            if not flow.client_conn.tls and (online := self._portal.online(site.host, site.path or "/")):
                return online  # somebody has just signed in, and the device still has our address for that name
            return self._pages.message(
                503, "This site is open now", "It was closed until a moment ago. Wait a minute and load it again.", asker
            )
        event = self._page_event(client, flow, asked, decision, "", NOTHING)
        self._record(event._replace(outcome="403"))
        if decision.reason is Reason.NOT_SIGNED_IN:
            return self._portal.lead(asker, site.host, site.path or "/")
        return self._pages.block(snapshot, decision, asked, asker)

    def _wait_for_words(self, flow: http.HTTPFlow, asker: Asker) -> Answer | None:
        """A search that is sent as a form: judged once its words are here. Until then nothing is let through."""
        if not flows.small_body(flow, LONGEST_POSTED):
            return self._pages.message(411, "This search cannot be read", "Search by the address instead.", asker)
        flow.metadata[POSTED] = True
        return None

    def request(self, flow: http.HTTPFlow) -> None:
        """The whole request is here: only searches and the forms of schoolgate.internal wait for that."""
        if flow.response or flow.error or not (INTERNAL in flow.metadata or POSTED in flow.metadata):
            return
        try:
            if POSTED in flow.metadata:
                encoding = flow.request.headers.get("content-encoding", "")
                words = unpacked(flow.request.raw_content or b"", encoding, LONGEST_POSTED)
                answer = CANNOT_DECIDE if words is None else self._judge(flow, words)
                if answer is not None:
                    flow.response = flows.made(answer, flow)
                return
            flow.response = flows.made(
                self._home_answer(flow, flow.metadata[INTERNAL], flow.request.raw_content or b""), flow
            )
        except Exception:  # noqa: BLE001 - an enforcing edge
            flow.response = flows.made(CANNOT_DECIDE, flow)
            self._record.trouble("a form", flows.address(flow.client_conn), INTERNAL)

    def _at_home(self, flow: http.HTTPFlow, site: Site) -> Answer | None:
        if flow.request.method != "POST":
            return self._home_answer(flow, site, b"")
        if not flows.small_body(flow, LONGEST_FORM):
            return self._pages.message(413, "That is too long", "Please write less, and try again.")
        flow.metadata[INTERNAL] = site  # nothing was let through, so even if `request` were never called nothing opens
        return None

    def _home_answer(self, flow: http.HTTPFlow, site: Site, body: bytes) -> Answer:
        client = self._client(flow.client_conn)
        if client is None or len(body) > LONGEST_FORM:
            return CANNOT_DECIDE
        address = flows.address(flow.client_conn)
        visit = Visit(
            client,
            address,
            flow.request.method,
            site.path or "/",
            self._now().timestamp(),
            self._nearby.proxy(flow.client_conn.sockname[:2]),
            site.host if site.host in self._names else INTERNAL,
            flow.request.headers.get("accept-language", ""),
            flow.client_conn.tls,
            self._nearby.by_tls(self._tunnels, client, address),
        )
        return self._internal.answer(visit, body, self._record.surely)

    # --- the response ------------------------------------------------------------------------------------------------

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Nothing is stored; what would lead the browser round us is taken out."""
        response = flow.response
        if response is None or ASKED not in flow.metadata:
            return
        try:
            response.headers.pop("alt-svc", None)  # an offer of HTTP/3, which no proxy sees
            if PAGE in flow.metadata and is_page(response.headers.get("content-type", "")):
                response.stream = False  # held until it is judged, but only so much: proxy/inside.Stream
                flow.metadata[HELD] = lambda start: self._judge_page(flow, start)
            else:
                response.stream = response.status_code != 101
        except Exception:  # noqa: BLE001 - an enforcing edge
            flow.kill()
            self._record.trouble("a response", flows.address(flow.client_conn), flow.request.host)

    def response(self, flow: http.HTTPFlow) -> None:
        """A page that was held back is whole."""
        judge = flow.metadata.pop(HELD, None)
        if judge is None or flow.response is None:
            return
        refused = judge(flow.response.raw_content or b"")
        if refused is not None:
            flow.response = refused

    def _judge_page(self, flow: http.HTTPFlow, data: bytes) -> http.Response | None:
        """The refusal of a page for its words, or None."""
        try:
            asked: Question = flow.metadata[PAGE]
            event: Event = flow.metadata[ASKED]
            snapshot, asker = self._live.snapshot, flows.asker(flow)
            profile = snapshot.profile(asked.school, asked.group)
            assert flow.response
            headers = flow.response.headers
            said = self._wording.page(
                data, headers.get("content-type", ""), headers.get("content-encoding", ""), profile,
                suspected(profile, asked), reader(profile, asked),
            ) if data else NOTHING  # fmt: skip
            if said is None:
                self._record(event._replace(action=Action.BLOCK, reason=Reason.ERROR, outcome="unreadable"))
                return flows.made(
                    self._pages.message(502, "This page cannot be read", "It came packed in a way nobody asked for.", asker),
                    flow,
                )
            if not said.themes and not said.looks:
                self._record.called(event, said.title)
                return None
            asked = replace(asked, themes=said.names, looks=tuple(said.looks))
            decision = decide(snapshot, asked)
            told = self._record.again(event, decision, str(said))._replace(title=said.title)
            if decision.action is Action.BLOCK:
                self._record(told._replace(outcome="403"))
                return flows.made(self._refusal(flow, snapshot, decision, asked, asker), flow)
            now = asked.at.timestamp()
            _, cookie = passes.taken_from_cookies(flow.metadata.get(COOKIES, ""))
            if decision.action is Action.WARN and not self._may_pass(asker, asked.host, cookie, now):
                self._record(told._replace(outcome="warned"))
                token = self._passes.token(asker.address, asked.host, now)
                onward = flows.url(flow, passes.onward(asked.query, token))
                return flows.made(self._pages.warn(snapshot, decision, asked, asker, onward), flow)
            self._record(told)
        except Exception:  # noqa: BLE001 - an enforcing edge
            self._record.trouble("a page", flows.address(flow.client_conn), flow.request.host)
            return flows.made(CANNOT_DECIDE, flow)
        return None

    def websocket_message(self, flow: http.HTTPFlow) -> None:
        """Messages pass; mitmproxy would keep them all."""
        if flow.websocket:
            flow.websocket.messages.clear()

    def error(self, flow: http.HTTPFlow) -> None:
        """What we refused after the decision, when connecting, belongs in the log too."""
        event = flow.metadata.get(ASKED)
        message = flow.error.msg if flow.error else ""
        if event is None:
            return
        outcome = "certificate" if BAD_CERTIFICATE in message else "inner address" if INNER_ADDRESS in message else ""
        if outcome:
            refused = event._replace(action=Action.BLOCK, reason=Reason.ERROR, outcome=outcome, detail=message[:200])
            self._record(refused)

    # --- helpers -----------------------------------------------------------------------------------------------------

    def _client(self, client: connection.Client) -> Client | None:
        return self._tunnels.client(client.proxy_mode.data, flows.address(client))

    def _page_event(
        self, client: Client, flow: http.HTTPFlow, asked: Question, decision: Decision, term: str, said: Said
    ) -> Event:
        seen = decision.handling is Handling.INSPECT  # a bank's or a clinic's plain-http pages are not written down either
        term = term[:LONGEST_TERM] if seen else ""
        kind = Kind.SEARCH if term else Kind.PAGE if flows.asker(flow).want is Wanted.PAGE else Kind.RESOURCE
        event = self._record.decided(kind, client, flows.address(flow.client_conn), asked, decision)
        return event._replace(path=(asked.path or "/") if seen else "", term=term, detail=str(said) if term else "")


def _back(flow: http.HTTPFlow, query: str, token: str) -> Answer:
    """To the page itself, with the pass as a cookie."""
    cookie = passes.set_cookie(token, secure=flow.request.scheme == "https")
    return Answer(303, (("Location", flows.url(flow, query)), ("Set-Cookie", cookie), ("Cache-Control", "no-store")), b"")


def _restricting(snapshot: Snapshot, asked: Question, decision: Decision) -> Engine | None:
    """The engine whose safe search is forced. A warned site too: the warning read is no way round it."""
    if decision.action in {Action.RESTRICT, Action.WARN}:
        return snapshot.profile(asked.school, asked.group).engine(asked.host)
    return None
