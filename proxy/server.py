"""One proxy worker: mitmproxy's Master with the few addons that are needed, run until told to stop."""

import asyncio
import contextlib
import gc
import logging
import resource
import socket
import ssl
from collections.abc import Callable
from ipaddress import ip_network
from typing import Protocol

from mitmproxy import ctx, master, options

from policy.event import Event
from policy.snapshot import Snapshot
from policy.synthetic import Names
from proxy import portal
from proxy.addon import Judge
from proxy.block_page import Pages
from proxy.ca import ensure_ca, trust_bundle
from proxy.connections import Connections
from proxy.destinations import Destinations
from proxy.embedding import Gate
from proxy.front import Front, Listener
from proxy.inside import install
from proxy.internal import HOST as INTERNAL
from proxy.internal import Internal
from proxy.keeper import Door, nobody
from proxy.nearby import Nearby
from proxy.opening import Certificates, Layers
from proxy.reach import Reach, Resolve, system_resolve
from proxy.record import Record
from proxy.sealed import context
from proxy.settings import Settings
from proxy.tunnels import Tunnels
from proxy.wires import Wires
from proxy.wording import Scores, Wording

LOOK_EVERY = 0.2  # seconds between looks for a new policy: an approval is in force within two
BACKLOG = 1024
FILES = 65_536  # a connection that passes through takes two, and some shells start us with 1,024
log = logging.getLogger(__name__)


class Live(Protocol):
    """What is in force in this process: policy.live.Live, or a test's own."""

    @property
    def snapshot(self) -> Snapshot: ...

    def refresh(self, before: Callable[[Snapshot], None] = ...) -> bool: ...


def bind(settings: Settings) -> dict[str, socket.socket]:
    """A socket for each listener, shared with other workers (SO_REUSEPORT). OSError with what to do about it."""
    sockets: dict[str, socket.socket] = {}
    try:
        for name, host, port in settings.all_listeners:
            # The protocol by name: asyncio sets TCP_NODELAY only where a socket says that it is TCP's. Without it every
            # answer that is written in two parts waits for the client's delayed acknowledgement, 40 ms.
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            made = sockets[name] = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            try:
                made.bind((host, port))
                made.listen(BACKLOG)
            except OSError as error:
                raise OSError(
                    error.errno, f"The proxy cannot listen on {host}:{port}: {error.strerror}. Is another program using it?"
                ) from None
    except BaseException:
        for each in sockets.values():
            each.close()
        raise
    return sockets


async def serve(
    settings: Settings,
    live: Live,
    record: Callable[[Event], None],
    *,
    ready: Callable[[dict[str, str]], None],
    stop: asyncio.Event,
    worker: str = "",
    resolve: Resolve | None = None,
    phrases: Scores | None = None,
) -> None:
    """Serve every listener until `stop` is set; then close within two seconds. One at a time in a process."""
    _room_for_connections()
    certificate = ensure_ca(settings.confdir, socket.gethostname())
    trust = trust_bundle(settings.confdir, settings.upstream_ca)
    reach = Reach(resolve or system_resolve, Destinations(settings.inner_networks), settings.connect_seconds)
    pages = Pages(settings.form_key, settings.desk_url)
    gates, ours = portal_of(settings, pages, live), frozenset({INTERNAL, settings.portal_name or INTERNAL})
    internal = Internal(settings.form_key, pages, certificate.read_bytes(), gates)
    with contextlib.suppress(Exception):  # a policy that cannot be read refuses each request; here it is only made ready
        _understand(live.snapshot)
    with contextlib.ExitStack() as stack:
        stack.callback(_give_back, getattr(ctx, "master", None), getattr(ctx, "options", None))
        sockets = bind(settings)
        for each in sockets.values():
            stack.callback(each.close)
        names = {name: each.getsockname()[:2] for name, each in sockets.items()}
        reach.own_ports = frozenset(port for _, port in names.values())
        gate = Gate(sockets, listeners(settings), reach)
        told = Record(record, worker)
        tunnels = Tunnels(live, told, pages=pages, reach=reach, names=ours)
        judge = Judge(
            live,
            told,
            tunnels,
            pages=pages,
            internal=internal,
            portal=gates,
            names=ours,
            form_key=settings.form_key,
            gate=gate,
            wording=Wording(phrases),
            pages_at=frozenset(name for name, _, _ in settings.page),
            nearby=Nearby(
                tuple(names[name][1] for name, _, _ in settings.listen),
                tuple((name, *names[name]) for name, _, _ in settings.secure),
                settings.secure_name,
            ),
        )
        wires = Wires()
        stack.callback(wires.close)
        reach.connect = wires.connect
        front = gate.front = Front(tunnels, reach, gate.take, wires, Names(settings.names) if settings.names else None)
        chief = _chief(settings, names, str(trust), gate, (Connections(live, told, tunnels, gate), judge))

        def judge_again() -> None:
            overdue = tunnels.overdue()
            gate.cut(overdue)
            front.cut(overdue)

        async with asyncio.TaskGroup() as tasks:
            looking = tasks.create_task(_keep_looking(live, judge_again))
            running = tasks.create_task(chief.run())
            try:
                await gate.started.wait()
                if not all(server.is_running for server in gate.servers):
                    raise OSError("The proxy could not start its listeners.")
                _keep_what_is_loaded()
                ready({name: _address(host, port) for name, (host, port) in names.items()})
                await stop.wait()
            finally:
                looking.cancel()
                for server in gate.servers:
                    with contextlib.suppress(Exception):
                        await server.stop()
                await front.close()
                await gate.close()
                chief.should_exit.set()
                with contextlib.suppress(asyncio.CancelledError):
                    await running


def portal_of(settings: Settings, pages: Pages, live: Live) -> portal.Portal:
    """The captive portal's pages."""
    url = f"https://{settings.portal_name}{portal.PATH}" if settings.portal_name else f"http://{INTERNAL}{portal.PATH}"
    keeper = Door(settings.portal_door) if settings.portal_door else nobody
    return portal.Portal(settings.form_key, pages, keeper, lambda: live.snapshot, url)


def listeners(settings: Settings) -> dict[str, Listener]:
    """What each listener's connections are."""
    balancers = tuple(ip_network(each) for each in settings.balancers)
    return {
        **{name: Listener(name, balancers=balancers) for name, _, _ in settings.listen},
        **{name: Listener(name, balancers=balancers, secure=_tls(settings)) for name, _, _ in settings.secure},
        **{name: Listener(name, transparent=True) for name, _, _ in settings.transparent},
        **{name: Listener(name, page=True) for name, _, _ in settings.page},
    }


def _tls(settings: Settings) -> ssl.SSLContext:
    if settings.secure_certificate is None:
        raise ValueError("A proxy that is reached by TLS needs a certificate.")
    return context(*settings.secure_certificate)


def _chief(
    settings: Settings, names: dict[str, tuple[str, int]], trust: str, gate: Gate, ours: tuple[object, ...]
) -> master.Master:
    # mitmproxy tells its log who visits what. That belongs into events, where it is guarded, and nowhere else.
    logging.getLogger("mitmproxy").setLevel(logging.ERROR)
    install(gate)
    chosen = options.Options(
        confdir=str(settings.confdir),
        mode=[f"gate:{name}@{host}:{port}" for name, (host, port) in names.items()],
        ssl_verify_upstream_trusted_ca=trust,
        upstream_cert=False,  # a name is decided before anything upstream is asked
        http3=False,
        rawtcp=False,  # what is neither TLS nor HTTP does not pass
    )
    chief = gate.chief = master.Master(chosen)
    addons = (
        *ours,  # before the others, so that nobody answers for it
        gate,
        Layers(),
        Certificates(settings.portal_name, settings.portal_certificate),
    )
    chief.addons.add(*addons)
    gate.use(addons)
    chosen.update(connection_strategy="lazy", stream_large_bodies=None, validate_inbound_headers=True)
    return chief


def _give_back(chief: master.Master | None, chosen: options.Options | None) -> None:
    """Whoever had mitmproxy's one context of a process before us goes on with it."""
    if chief is not None and chosen is not None:
        ctx.master, ctx.options = chief, chosen


def _room_for_connections() -> None:
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if most == resource.RLIM_INFINITY else min(FILES, most)
    if now != resource.RLIM_INFINITY and now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _keep_what_is_loaded() -> None:
    """No collection looks through all libraries and the policy again: that holds everyone up for a tenth of a second."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def _understand(snapshot: Snapshot) -> None:
    """Before it is in force: pages do not wait for it, and phrases that nobody understands leave the old policy there."""
    for dictionary in snapshot.dictionaries.values():
        if dictionary.phrases:
            dictionary.phrases.ready()


async def _keep_looking(live: Live, judge_again: Callable[[], object]) -> None:
    while True:
        await asyncio.sleep(LOOK_EVERY)
        try:
            # reading and proving, and understanding phrases, must not hold up those who are being served
            await asyncio.to_thread(live.refresh, _understand)
        except Exception:  # the last good policy stays in force
            log.exception("could not look for a new policy; the last good one stays in force")
        judge_again()


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
