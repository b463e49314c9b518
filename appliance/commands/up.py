"""`schoolgate up`: everything on this machine, in the foreground."""

import argparse
import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from appliance import demo
from appliance.certificates import dns_certificate, proxy_certificate
from appliance.commands.words import config_of, data_option, version
from appliance.config import Config
from appliance.founding import Founded, open_installation
from appliance.ports import Ports
from appliance.supervisor import Supervisor
from policy.live import Live

log = logging.getLogger(__name__)


def words(parser: argparse.ArgumentParser) -> None:
    data_option(parser)
    parser.add_argument("--demo", action="store_true", help="a demonstration with two made-up schools, on loopback")
    parser.set_defaults(run=run)


def run(words: argparse.Namespace) -> int:
    os.umask(0o027)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with contextlib.closing(Ports()) as ports:
        _up(config_of(words, demo=words.demo), ports)
    return 0


def _up(config: Config, ports: Ports) -> None:
    if config.demo:
        config = ports.settle(demo.encrypted_dns(demo.group_listeners(config)))  # first: what is made next takes a minute
        founded = demo.ensure(config)
    else:
        founded = open_installation(config.data, config.desk_database)
        config = ports.settle(config)
    _publish(founded)
    if config.gateway and config.gateway.told:
        log.warning("%s.", config.gateway.told)
    if config.dns.dot_listen or config.dns.doh_listen:
        schools = Live(config.data).snapshot.schools.values()
        listeners = (network.listener for school in schools for network in school.networks)
        labels = sorted({each.removeprefix("dot:") for each in listeners if each.startswith("dot:")})
        dns_certificate(config, labels)  # once, before several workers would make it at the same moment
    if config.proxy.tls_listen:
        proxy_certificate(config)
    supervisor = Supervisor(config, when_ready=lambda state: _welcome(config, state))
    asyncio.run(supervisor.run())


def _publish(founded: Founded) -> None:
    """Start-up publishes like every change does, and proposes what a newer version brings."""
    for problem in founded.publish().problems.values():
        log.error("not published, the last good policy stays: %s", problem)
    for said in founded.propose_defaults(version()):
        log.info("%s", said)
    founded.store.close()


def _welcome(config: Config, state: Mapping[str, Any]) -> None:
    if not config.demo:
        print(
            f"Schoolgate is up. DNS {', '.join(state['dns'])}; proxy {', '.join(state['proxy'])}; desk {state['admin']}",
            flush=True,
        )
        return
    host, dns_port = config.dns.listen[0]
    groups = "\n".join(f"  {name:22} proxy {where}" for name, where in state["proxy_groups"].items())
    encrypted = "".join(f"secure DNS: https://localhost:{port}/dns-query/SCHOOL/GROUP" for _, port in config.dns.doh_listen)
    print(
        demo.WELCOME.format(
            dns_host=host,
            dns_port=dns_port,
            proxy=state["proxy"][0],
            groups=groups,
            encrypted=encrypted,
            ca=state["ca_certificate"],
            admin=state["admin"],
            accounts=demo.accounts_file(config.data),
            data=config.data,
            command=Path(sys.argv[0]).name,
            python=sys.executable,
        ),
        flush=True,
    )
