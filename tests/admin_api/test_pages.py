"""Every page as every role: what each may see, and nothing with a hole in it."""

import re

import pytest

PAGES = (
    "/", "/requests", "/requests/new", "/requests/new?kind=site", "/requests/new?kind=category", "/requests/new?kind=network",
    "/requests/1", "/rules", "/rules?group=ks2", "/changes", "/changes?check=true", "/log", "/why",
    "/why?site=crazygames.com&group=ks2", "/lists", "/people", "/access", "/resolver", "/coverage", "/help", "/standing", "/you", "/you/email",
    "/then", "/lists/categories", "/lists/name", "/lists/name?site=crazygames.com", "/requests/new?kind=unknown",
    "/requests/new?kind=timetable", "/requests/new?kind=suspension", "/requests/new?kind=safety", "/requests/new?kind=group",
    "/requests/new?kind=answer", "/requests/new?kind=inspection",
    "/requests/new?kind=belonging", "/requests/new?kind=portal", "/devices", "/guests",
)  # fmt: skip
READ_LOG = {"helen", "sara", "olive"}
READ_SYSTEM = {"helen", "sara", "olive", "tom", "laura"}
READ_DEVICES = {"helen", "sara", "olive", "tom"}
ASKS = {"helen", "adam", "dora", "tom", "sara", "olive", "laura", "carl"}
EVERYONE = (*sorted(ASKS), "gita", "nora")


def allowed(username: str, page: str) -> bool:
    if page == "/log":
        return username in READ_LOG
    if page == "/devices":
        return username in READ_DEVICES
    if page == "/guests":
        return username in READ_DEVICES | {"dora"}
    if page == "/access":
        return username == "helen"
    if page in ("/resolver", "/coverage"):
        return username in READ_SYSTEM
    if page.startswith("/requests/new"):
        return username in ASKS
    return True


@pytest.mark.parametrize("username", EVERYONE)
def test_each_role_sees_its_pages_whole(world, username):
    world.ask("adam")
    browser = world.browser(username)
    for page in PAGES:
        path = f"{page}{'&' if '?' in page else '?'}school=oakfield"
        answer = browser.get(path)
        assert answer.status_code == (200 if allowed(username, page) else 403), (page, answer.text[:300])
        assert len(re.findall(r"<h1[ >]", answer.text)) == 1, page
        assert "<main" in answer.text
        assert 'lang="en-GB"' in answer.text
        assert "None" not in re.sub(r"<code.*?</code>|<pre.*?</pre>", "", answer.text, flags=re.DOTALL), page
        assert not re.search(r"Undefined|\{\{|\}\}|\[object", answer.text), page
        assert not re.search(r"<script(?! src=\"/static/)|onclick=|style=", answer.text), page
        for control in re.findall(r"<(?:input|select|textarea)[^>]*>", answer.text):
            if 'type="hidden"' not in control:
                name = re.search(r'\bid="([^"]+)"', control)
                assert name, (page, control)
                assert f'for="{name[1]}"' in answer.text, (page, control)
