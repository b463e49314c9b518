"""Permits end with whom they were given to: another person at an address, another group's rules."""

import asyncio
from dataclasses import replace

import pytest

from appliance.gateway.netlink import flow_of
from appliance.gateway.ruleset import GREETED, REVOKED
from policy.identity import Clients
from policy.presence import Presence, Present, line
from policy.rules import Action, Belonging, SiteRule

from .test_steer import PUPIL, SITE, ask, made, permit  # noqa: F401 - a fixture


@pytest.mark.parametrize(("group", "ends"), [("ks3", False), ("staff", True)])
def test_who_signs_out_takes_along_what_was_permitted_to_her(made, make_snapshot, tmp_path, group, ends):  # noqa: F811
    steer, kernel, live = made
    presence = Presence(tmp_path / "presence")
    snapshot = make_snapshot(site_rules=(SiteRule("r", "news.example", Action.BLOCK, 1, groups=("ks3",)),) if ends else ())
    (school,) = [each for each in snapshot.schools.values() if each.networks]
    school = replace(school, belongings=(Belonging("b", group, 7, user="kim"),))
    live.snapshot = replace(snapshot, schools={school.log: school}, clients=Clients([school], presence))

    def there(present):
        with (tmp_path / "presence").open("ab") as file:
            file.write(line(PUPIL, 1e12, present))
        presence.refresh(1.0)
        asyncio.run(steer.look())

    there(Present(school.log, "d-1", "neighbour", "p-1", "radius", "kim"))
    ask(steer, permit(1, "news.example"))
    kernel.running = [flow_of(bytes([127, 20, 3, 5]), bytes([45, 33, 32, 1]), (4000, 443), GREETED)]
    kernel.written, kernel.marks = [], []
    there(None)
    assert {each.seconds for each in kernel.written} == ({0} if ends else set())
    assert kernel.marks == ([(SITE, REVOKED)] if ends else [])
