"""`schoolgate mail`: does e-mail leave this machine?"""

import argparse
from datetime import UTC, datetime

from admin_api import outbox
from admin_api.post import NotNow, Undeliverable, connected, send_mail
from appliance.commands.words import WrongWords, config_of, data_option
from appliance.founding import open_installation
from change_control.tables import OutboxRow


def words(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="what", required=True, metavar="test|status", parser_class=type(parser))
    test = kinds.add_parser("test", help="send one message now, and say what the mail server answered")
    test.add_argument("address", metavar="ADDRESS")
    data_option(test)
    test.set_defaults(run=run_test)
    status = kinds.add_parser("status", help="what could not be sent, and why; exit code 1 when there is something")
    data_option(status)
    status.set_defaults(run=run_status)


def run_test(given: argparse.Namespace) -> int:
    from appliance.wiring import post

    config = config_of(given)
    server = post(config, None).mail
    if server is None:
        raise WrongWords("mail.server is not set in the configuration, so no e-mail can leave")
    try:
        to = outbox.address_of(given.address)
    except ValueError as error:
        raise WrongWords(str(error)) from None
    now = datetime.now(UTC)
    text = f"This is a test from Schoolgate at {config.desk_url}. If you can read it, e-mail works.\n"
    row = OutboxRow(
        kind=outbox.EMAIL, to=to, key=f"test {now.isoformat()}", subject="A test from Schoolgate", text=text, made=now
    )
    try:
        with connected(server) as smtp:
            send_mail(smtp, server, row)
    except (NotNow, Undeliverable) as error:
        raise RuntimeError(str(error)) from None
    print(f"{server.host}:{server.port} took a message for {to}")
    return 0


def run_status(given: argparse.Namespace) -> int:
    config = config_of(given)
    with open_installation(config.data, config.desk_database) as founded, founded.store.read() as session:
        state = outbox.state(session, founded.office.now())
    for why in state.why:
        print(why)
    print(f"{state.waiting} could not be sent yet and are tried again; {state.failed} were given up in the last 14 days")
    return 1 if state.troubled else 0
