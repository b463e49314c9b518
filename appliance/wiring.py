"""Where the parts meet: each process of the box, put together from its parts and run until it is told to stop.

No part below imports another part beside it; what it needs from there is handed in here as a plain callable. Each process
imports its own parts when it runs, which the nursery has loaded already; tests and commands load only what they use.
"""

import asyncio
import base64
import contextlib
import json
import logging
import os
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from appliance.config import AdminConfig, Config
from change_control.keys import secret_of
from monitoring.spool import Writer
from policy import doors
from policy.doors import accounts_door, portal_door
from policy.event import Event, Kind
from policy.live import Live

if TYPE_CHECKING:
    from change_control.sso import Provider
    from dns.steering import Steered

log = logging.getLogger(__name__)

type Ready = Callable[[Mapping[str, Any]], None]
type Run = Callable[[Config, str, Ready, asyncio.Event], Awaitable[None]]

DAYS_S = 600.0  # how often days that are over are looked for
TICK_S = 2.0  # how often time's own acts (expiry, lapse) are looked for


def recording(config: Config, name: str) -> tuple[Writer, Callable[[Event], None]]:
    """This worker's spool, and what hands it an event."""
    writer = Writer(config.data / "spool", name)
    return writer, lambda event: writer.write(event.encode())


def in_force(config: Config, name: str, record: Callable[[Event], None]) -> Live:
    """The policy in force in this worker; what it refuses becomes a notice in the filter log."""

    def tell(text: str) -> None:
        record(
            Event(
                datetime.now(UTC).timestamp(), Kind.NOTICE, action="block", reason="policy_refused", detail=text, worker=name
            )
        )

    return Live(config.data, name, told=tell)


async def run_dns(config: Config, name: str, ready: Ready, stop: asyncio.Event) -> None:
    from dns.server import serve, steady
    from dns.settings import Settings

    writer, record = recording(config, name)
    settings = Settings(
        listen=config.dns.listen,
        upstreams=config.upstreams(),
        page_addresses=config.dns.page_addresses,
        inner_networks=config.inner_networks,
        forward=config.dns.forward,
        hosts=config.dns.hosts,
        block_tunnels=config.dns.tunnels == "block",
        dot_listen=config.dns.dot_listen,
        doh_listen=config.dns.doh_listen,
        certificate=(str(config.data / "ca" / "dns.pem"), str(config.data / "ca" / "dns-key.pem")),
        balancers=config.dns.proxy_protocol_from,
        names_folder=str(config.data / "run" / "names"),
        explain_socket=str(config.data / "run" / "explain" / f"{name}.sock"),
        client_queries_s=config.dns.client_queries_per_s,
        busy_poll_s=config.dns.busy_poll_us / 1e6,
        steered=steered(config),
        cookie_key=secret_of(config.data / "secrets" / "dns-cookie.key"),
    )
    live = in_force(config, name, record)

    def told(counters: Mapping[str, object]) -> None:
        said = {"worker": name, "pid": os.getpid(), "at": time.time(), "lost": writer.lost, **counters}
        write_quickly(config.data / "run" / "counters" / f"{name}.json", json.dumps(said).encode())

    steady()
    with contextlib.closing(writer):
        await serve(
            settings,
            live,
            record,
            ready=lambda where: ready({"dns": where}),
            stop=stop,
            worker=name,
            write=writer.write_all,
            told=told,
        )


def steered(config: Config) -> "Steered | None":
    """What a resolver on a gateway is told of the networks that the kernel steers."""
    from appliance.gateway.applying import steering_folder
    from dns.steering import Network, Steered

    if config.gateway is None:
        return None
    networks = tuple(
        Network(prefix, each.direct == "forward", bool(each.four), bool(each.six))
        for each in config.gateway.networks
        for prefix in each.prefixes
    )
    return Steered(str(steering_folder(config.data) / "steer.sock"), networks)


async def run_steer(config: Config, name: str, ready: Ready, stop: asyncio.Event) -> None:
    from appliance.gateway.steer import run

    await run(config, name, ready, stop)


async def run_devices(config: Config, name: str, ready: Ready, stop: asyncio.Event) -> None:
    from appliance.devices.process import run

    await run(config, name, ready, stop)


def write_quickly(path: Path, data: bytes) -> None:
    """Renamed into place, but not forced to the disk: the next one comes in a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".new")
    aside.write_bytes(data)
    aside.replace(path)


async def run_proxy(config: Config, name: str, ready: Ready, stop: asyncio.Event) -> None:
    from proxy.server import serve
    from proxy.settings import Settings

    writer, record = recording(config, name)
    settings = Settings(
        listen=(
            *((f"proxy:{host}:{port}", host, port) for host, port in config.proxy.listen),
            *config.group_listeners,
        ),
        secure=tuple((f"proxy-tls:{host}:{port}", host, port) for host, port in config.proxy.tls_listen),
        secure_certificate=(config.data / "ca" / "proxy.pem", config.data / "ca" / "proxy-key.pem"),
        secure_name=urlsplit(config.desk_url).hostname or "",
        transparent=tuple((f"transparent:{host}:{port}", host, port) for host, port in config.proxy.transparent_listen),
        page=tuple((f"page:{host}:{port}", host, port) for host, port in config.proxy.page_listen),
        balancers=config.proxy.proxy_protocol_from,
        names=config.data / "gateway" / "names" if config.gateway else None,
        portal_door=portal_door(config.data) if config.devices else None,
        portal_name=config.proxy.portal_name,
        portal_certificate=Path(config.proxy.portal_certificate) if config.proxy.portal_certificate else None,
        upstream_ca=config.proxy.upstream_ca or None,
        confdir=config.data / "ca",
        form_key=secret_of(config.data / "secrets" / "block-page.key"),
        desk_url=config.desk_url,
        inner_networks=config.inner_networks,
    )
    live = in_force(config, name, record)
    with contextlib.closing(writer):
        await serve(
            settings,
            live,
            record,
            ready=lambda where: ready({"proxy": where}),
            stop=stop,
            worker=name,
            resolve=resolver(config),
        )


async def run_rpz(config: Config, name: str, ready: Ready, stop: asyncio.Event) -> None:
    """Policies for other resolvers, in a process of its own: a zone of a million names takes memory and minutes."""
    from appliance.response_zones import Keeper, keys_file, load_keys
    from dns.transfer import serve

    keeper = Keeper(config.data, Live(config.data, name), load_keys(keys_file(config)))
    keeping = asyncio.create_task(keeper.keep(stop))
    await serve(config.dns.rpz_listen, keeper.transfers, ready=lambda where: ready({"rpz": where}), stop=stop)
    await keeping


def resolver(config: Config) -> Callable[[str], Awaitable[Sequence[str]]]:
    """Names resolved where our own resolver asks, so that DNS and proxy never disagree on where a name leads."""
    from dns.lookup import Lookup
    from dns.settings import Settings

    settings = Settings(
        listen=config.dns.listen,
        upstreams=config.upstreams(),
        inner_networks=config.inner_networks,
        forward=config.dns.forward,
        hosts=config.dns.hosts,
    )
    return Lookup(settings).addresses


async def run_recorder(config: Config, name: str, ready: Ready, stop: asyncio.Event) -> None:
    """Spools into the filter log; requests from the block page into change control; and what time alone does."""
    from appliance.devices.register import keep_register
    from appliance.requests import take_request
    from appliance.reviewing import keep_reviewed
    from appliance.streaming import streams
    from appliance.updater import keep_updated
    from change_control import passing
    from change_control.list_service import prepare_lapses
    from change_control.publish import publish
    from change_control.service import Office
    from change_control.store import Store
    from monitoring.log import Log
    from monitoring.recorder import Recorder
    from monitoring.spool import Reader

    del name
    store, office = Store(config.desk_database), Office.open(config.data)

    def on_request(event: Event) -> None:
        take_request(store, office, event)

    def tick() -> None:
        with store.read() as session:
            prepare_lapses(office, session)
        with store.write() as session:
            moved = {row.log for row in office.tick(session)}
            moved |= session.info.get("logs", set()) if moved else set()  # the authority's own changes reach its schools
        if moved:
            with store.write() as session:
                publish(session, office.key, config.data, moved)

    def daily() -> None:
        with store.write() as session:
            passing.daily(office, session)

    async def ticking() -> None:
        looked_at_days = -DAYS_S
        while not stop.is_set():
            try:
                await asyncio.to_thread(tick)
                if time.monotonic() - looked_at_days > DAYS_S:
                    await asyncio.to_thread(daily)
                    looked_at_days = time.monotonic()
            except Exception:
                log.warning("cannot look for changes that end", exc_info=True)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), TICK_S)

    following = streams(config, write_quickly)
    for stream in following:
        stream.start()
    recorder = Recorder(Reader(config.data / "spool"), Log(config.log_database), on_request=on_request)
    ready({"recorder": True})
    await asyncio.gather(
        recorder.run(stop),
        ticking(),
        keep_updated(config, stop),
        keep_reviewed(config, store, stop),
        keep_register(config, stop),
    )
    for stream in following:
        stream.stop()
    store.close()


def post(config: Config, store: Any, watch: Callable[[], None] = lambda: None) -> Any:
    """What sends the messages of this installation."""
    from admin_api.post import Hook, MailServer, Post

    mail = config.mail
    server = None
    if mail.server:
        server = MailServer(*mail.where, mail.sender, mail.tls, mail.user, mail.password_file, mail.ca)
    hooks = {one.name: Hook(one.name, one.url, one.secret_file) for one in config.webhooks}
    return Post(store, server, hooks, watch=watch)


def keeping(config: Config) -> Any:
    """This installation as a witness of others, if it is one."""
    from admin_api.witnessing import Keeper

    if not config.witness.name:
        return None
    return Keeper(config.data, config.witness.name, {name: base64.b64decode(key) for name, key in config.witness.logs})


def cosigning(config: Config, services: Any) -> Any:
    """What shows our change logs to the witnesses."""
    from admin_api.witnessing import Asked, Cosigner
    from change_control.witness import Witness

    asked = [Asked(Witness.read(key), url, ca) for url, key, ca in config.witness.ask]
    return Cosigner(services.store, services.office, config.data, asked, services.alarms)


async def run_desk(config: Config, name: str, ready: Ready, stop: asyncio.Event) -> None:
    """The desk over TLS, under a certificate of the box's own authority."""
    import uvicorn

    from admin_api.accounts import Accounts
    from admin_api.app import create_app
    from admin_api.deps import Services
    from admin_api.notices import Watcher
    from appliance.certificates import desk_certificate
    from change_control import guests
    from change_control.people import Registry
    from change_control.service import Office
    from change_control.store import Store
    from monitoring.log import Log

    del name
    office = Office.open(config.data)
    store = Store(config.desk_database)
    services = Services(
        store=store,
        office=office,
        registry=Registry(office, secret_of(config.data / "secrets" / "desk.key")),
        live=Live(config.data),
        log=Log(config.log_database),
        data=config.data,
        public_url=config.desk_url,
        demo=config.demo,
        accounts_hint=str(config.data / "demo-accounts.yaml") if config.demo else "",
        workers_expected=len(config.filter_processes),
        spool=config.data / "spool",
        provider=_provider(config.admin),
        keeper=keeping(config),
    )
    watcher, cosigner = Watcher(services, hooks=bool(config.webhooks)), cosigning(config, services)

    def watch() -> None:
        cosigner()
        watcher()

    sending = post(config, store, watch)
    certificate, key = desk_certificate(config)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    sockets = [_listening(host, port) for host, port in config.admin.listen]
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(services),
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ssl_context_factory=lambda *_: context,
        )
    )

    async def stopping() -> None:
        await stop.wait()
        server.should_exit = True

    async def started() -> None:
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.02)
        ready({"desk": config.desk_url})

    with store.write() as session:
        guests.hand_over(session, config.data, office.now())
    accounts = await doors.serve(accounts_door(config.data), Accounts(services).answer)
    sending.start()
    await asyncio.gather(server.serve(sockets=sockets), stopping(), started())
    accounts.close()
    sending.stop()
    services.counts.close()
    store.close()


def _provider(admin: AdminConfig) -> "Provider | None":
    """The identity provider of the configuration, if there is one."""
    from change_control.sso import Provider

    if not admin.sso_issuer:
        return None
    secret = Path(admin.sso_client_secret).read_text(encoding="utf-8").strip() if admin.sso_client_secret else ""
    return Provider(admin.sso_issuer, admin.sso_client_id, secret, admin.sso_name or "your school’s account")


def _listening(host: str, port: int) -> Any:
    import socket

    found = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # with the socket that holds a chosen port for us
    found.bind((host, port))
    found.listen(128)
    found.setblocking(False)
    return found


PROCESSES: dict[str, Run] = {
    "dns": run_dns,
    "proxy": run_proxy,
    "recorder": run_recorder,
    "desk": run_desk,
    "rpz": run_rpz,
    "steer": run_steer,
    "devices": run_devices,
}
