"""What ends by itself, in a real Chromium: the desk over TLS on loopback, under a clock that the story moves.

A running box has no other clock than the machine's, and these stories take days. So the desk is the whole application on a
socket of its own, with the clock that it is built with; `passes` is what the recorder does as time goes by, and what is in force
is asked of a worker's own copy of the policy.
"""

import shutil
import socket
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
import uvicorn
from playwright.sync_api import Page, expect

from admin_api.app import create_app
from admin_api.auth import COOKIE
from change_control import standing
from change_control.changes import SiteWish
from change_control.people_wishes import SuspensionWish
from change_control.publish import publish
from policy.decide import Question, decide
from policy.live import Live
from policy.rules import Action

from ..admin_api.conftest import built, closed, opened, shipped  # noqa: F401, TID252 - fixtures of the desk's own tests
from .browsing import CHROMIUM, PHONE, QUIET, keep
from .conftest import until

pytestmark = pytest.mark.browser


class Served:
    """A desk that a browser can open, and hands for the story."""

    def __init__(self, world, url: str, chromium) -> None:
        self.world, self.url, self._chromium = world, url, chromium
        self.contexts: dict[str, Page] = {}

    def page(self, username: str, path: str, size: dict | None = None) -> Page:
        """A person's browser, signed in as of now, at a page."""
        self.world.cookies.pop(username, None)
        if username not in self.contexts:
            context = self._chromium.new_context(
                ignore_https_errors=True, viewport=size or {"width": 1280, "height": 900}, locale="en-GB"
            )
            self.contexts[username] = context.new_page()
        page = self.contexts[username]
        cookie = {"name": COOKIE, "value": self.world.cookie(username), "url": self.url, "secure": True}
        page.context.add_cookies([cookie])
        page.goto(self.url + path)
        return page

    def code(self, username: str) -> str:
        self.world.clock.forward(seconds=30)
        return self.world.code(username)

    def passes(self, **time: float) -> None:
        """Time goes by, and the recorder looks what has come to its end."""
        self.world.clock.forward(**time)
        with self.world.store.write() as session:
            moved = self.world.office.tick(session)
            if moved:
                publish(session, self.world.office.key, self.world.data)

    def action(self, host: str, group: str = "ks2") -> Action:
        """What a worker that starts now obeys."""
        return decide(Live(self.world.data).snapshot, Question("oakfield", group, host, self.world.clock.at, "/")).action

    def mandate(self, **terms) -> None:
        cookie = self.world.cookie("helen")
        with self.world.store.write() as session:
            head, signer = self._signs(session, cookie)
            self.world.office.sign_mandate(
                session, "oakfield", head, lambda said: signer.sign("mandate", "oakfield", said),
                until=self.world.clock.at + timedelta(days=90), **terms,
            )  # fmt: skip

    def delegate(self, username: str, **lasts: float) -> None:
        cookie, hers = self.world.cookie("helen"), self.world.cookie(username)
        with self.world.store.write() as session:
            head, signer = self._signs(session, cookie)
            whom = self.world.registry.signed_in(session, hers).id
            now = self.world.clock.at
            standing.sign_delegation(
                self.world.office, session, "oakfield", head, lambda said: signer.sign("delegate", "oakfield", said),
                person=whom, kinds=["site"], starts=now, until=now + timedelta(**lasts),
            )  # fmt: skip

    def _signs(self, session, cookie):
        return self.world.registry.signed_in(session, cookie), self.world.registry.signer(session, cookie, "oakfield")


@pytest.fixture(scope="module")
def chromium(playwright):
    made = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=QUIET)
    yield made
    made.close()


@pytest.fixture
def served(tmp_path, built, chromium, mail_certificate):  # noqa: F811
    source, secrets = built
    shutil.copytree(source, tmp_path / "data")
    world = opened(tmp_path / "data", secrets)
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"https://localhost:{listening.getsockname()[1]}"
    app = create_app(replace(world.services, public_url=url))
    config = uvicorn.Config(app, log_config=None, ssl_certfile=mail_certificate, ssl_keyfile=mail_certificate, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    until(lambda: server.started, 20, "the desk answers")
    made = Served(world, url, chromium)
    yield made
    for page in made.contexts.values():
        page.context.close()
    server.should_exit = True
    thread.join(20)
    listening.close()
    closed(world)


def test_what_a_teacher_blocks_at_once_lapses_unless_the_head_ratifies_it(served):
    assert served.action("coolmath.example") is Action.ALLOW
    served.mandate(kinds=["site"], roles=["teacher"], ratify_days=5)
    adam = served.page("adam", "/requests/new?kind=site&school=oakfield")
    adam.get_by_label("Site", exact=False).first.fill("coolmath.example")
    adam.locator("input[name=action][value=block]").check()
    adam.locator("input[name=groups][value=ks2]").check()
    adam.locator("textarea[name=reason]").fill("A chat window has opened there")
    adam.locator("input[name=now]").check()
    adam.locator("form.panel button, form button").filter(has_text="Send").first.click()
    expect(adam.get_by_text("under a standing mandate").first).to_be_visible()
    change = int(adam.url.rsplit("/", 1)[1].partition("?")[0])
    with served.world.store.write() as session:
        publish(session, served.world.office.key, served.world.data)
    assert served.action("coolmath.example") is Action.BLOCK

    helen = served.page("helen", "/", PHONE)
    expect(helen.get_by_text("5 days left").or_(helen.get_by_text("4 days left")).first).to_be_visible()
    keep(helen, "time-to-ratify")
    served.passes(days=4)
    assert served.action("coolmath.example") is Action.BLOCK
    served.passes(days=2)
    assert served.world.state(change) == "lapsed"
    assert served.action("coolmath.example") is Action.ALLOW
    helen = served.page("helen", f"/requests/{change}")
    expect(helen.get_by_text("Lapsed").first).to_be_visible()
    keep(helen, "time-lapsed")
    helen.goto(served.url + "/changes?check=true")
    expect(helen.get_by_text("entries agree").first).to_be_visible()


def test_broken_glass_reverts_after_a_day_and_says_so_on_every_page(served):
    served.mandate(kinds=["site"], roles=["deputy", "technician"], break_glass=True)
    change = served.world.ask("tom", SiteWish("crazygames.com", Action.ALLOW, ("ks2",)))
    assert served.action("crazygames.com") is Action.BLOCK
    for username, state in (("tom", "requested"), ("dora", "provisional")):
        page = served.page(username, f"/requests/{change}", PHONE)
        page.get_by_text("Emergency: break the glass…").click()
        page.locator("#code-break-glass").fill(served.code(username))
        page.get_by_role("button", name="Sign to break the glass").click()
        expect(page.get_by_role("status").get_by_text("Signed. When two people have signed")).to_be_visible()
        assert served.world.state(change) == state
    with served.world.store.write() as session:
        publish(session, served.world.office.key, served.world.data)
    assert served.action("crazygames.com") is Action.ALLOW
    sara = served.page("sara", "/")
    expect(sara.get_by_text("The glass is broken.")).to_be_visible()
    keep(sara, "time-glass")
    served.passes(hours=23)
    assert served.action("crazygames.com") is Action.ALLOW
    served.passes(hours=2)
    assert (served.world.state(change), served.action("crazygames.com")) == ("lapsed", Action.BLOCK)
    sara = served.page("sara", "/")
    expect(sara.get_by_text("The glass is broken.")).to_have_count(0)


def test_a_delegation_that_ends_while_the_delegate_reads_signs_nothing(served):
    change = served.world.ask("adam", SiteWish("crazygames.com", Action.ALLOW, ("ks2",)))
    served.delegate("dora", minutes=20)
    dora = served.page("dora", f"/requests/{change}", PHONE)
    expect(dora.get_by_role("button", name="Approve")).to_be_visible()
    served.passes(minutes=21)
    code = served.code("dora")
    dora.locator("#code").focus()  # the keyboard alone: the code, the button, Enter
    dora.keyboard.type(code)
    dora.keyboard.press("Tab")
    expect(dora.get_by_role("button", name="Approve")).to_be_focused()
    dora.keyboard.press("Enter")
    expect(dora.get_by_text("only the headteacher may").first).to_be_visible()
    keep(dora, "time-delegation-ended")
    assert served.world.state(change) == "requested"
    assert served.action("crazygames.com") is Action.BLOCK
    dora.goto(f"{served.url}/requests/{change}")
    expect(dora.get_by_role("button", name="Approve")).to_have_count(0)


def test_a_suspension_ends_by_itself(served):
    ends = served.world.clock.at + timedelta(days=2)
    change = served.world.ask("sara", SuspensionWish(ends, ("ks2",)))
    assert served.action("bbc.example") is Action.ALLOW
    helen = served.page("helen", f"/requests/{change}", PHONE)
    expect(helen.get_by_text("It ends by itself").first).to_be_visible()
    keep(helen, "time-suspension")
    helen.locator("#code").fill(served.code("helen"))
    helen.get_by_role("button", name="Approve").click()
    expect(helen.get_by_text("What happened")).to_be_visible()
    assert served.world.state(change) == "in_force"
    with served.world.store.write() as session:
        publish(session, served.world.office.key, served.world.data)
    assert served.action("bbc.example") is Action.BLOCK
    served.world.clock.forward(days=2)  # nobody does anything, and no process runs: the policy itself knows the end
    assert served.action("bbc.example") is Action.ALLOW
    served.passes(minutes=1)
    helen = served.page("helen", f"/requests/{change}")
    expect(helen.locator(".kicker .tag")).to_have_text("Ended")
