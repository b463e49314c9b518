"""`schoolgate guests`: codes, who has signed in, and an end to a sign-in, asked of the process that keeps them."""

import asyncio
import json
import threading
from dataclasses import asdict

import pytest

from appliance.__main__ import main
from change_control.guests import Code, codes_file
from policy import doors
from policy.doors import portal_door

CODE = Code("c1", "hill", "f" * 64, "Ms Khan", "visitors", 2, 0.0, 1795345200.0)
ONE = {
    "key": "portal-1", "school": "hill", "name": "Ms Khan", "code": "c1", "device": "d-1", "addresses": ["10.9.0.5"],
    "until": 1795345200.0,
}  # fmt: skip


@pytest.fixture
def keeper(tmp_path):
    asked, ready, over = [], threading.Event(), asyncio.Event()

    async def answer(question):
        asked.append(question)
        return {"said": "sessions", "sessions": [ONE]} if question["act"] == "sessions" else {"said": "out"}

    async def serve():
        server = await doors.serve(portal_door(tmp_path), answer)
        ready.set()
        await over.wait()
        server.close()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    (tmp_path / "run").mkdir()
    thread.start()
    assert ready.wait(10)
    yield asked
    loop.call_soon_threadsafe(over.set)
    thread.join(10)
    loop.close()


def test_codes_and_sign_ins(tmp_path, keeper, capsys):
    codes_file(tmp_path).parent.mkdir()
    codes_file(tmp_path).write_text(json.dumps([asdict(CODE)]))
    assert main(["guests", "list", "--data", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "code c1  hill  Ms Khan: group visitors, 1 of 2 devices" in said
    assert "portal-1  hill  Ms Khan (code c1)  d-1 10.9.0.5" in said
    assert main(["guests", "list", "--json", "--data", str(tmp_path)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["signed_in"] == [ONE]
    assert "digest" not in told["codes"][0]


def test_an_end_to_one(tmp_path, keeper, capsys):
    assert main(["guests", "end", "portal-1", "--data", str(tmp_path)]) == 0
    assert keeper[-1] == {"act": "end", "school": "hill", "session": "portal-1"}
    assert main(["guests", "end", "portal-9", "--data", str(tmp_path)]) == 1
    assert "nobody has signed in by that name" in capsys.readouterr().err


def test_nobody_keeps_sign_ins(tmp_path, capsys):
    assert main(["guests", "list", "--data", str(tmp_path)]) == 1
    assert "does not run" in capsys.readouterr().err
