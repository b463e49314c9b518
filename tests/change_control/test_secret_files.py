"""Secrets in files: for the owner alone, and made once."""

import subprocess
import sys

from change_control.keys import secret_of

SHOW = "import sys, pathlib; from change_control.keys import secret_of; sys.stdin.read(); print(secret_of(pathlib.Path(sys.argv[1])).hex())"


def test_workers_that_start_at_the_same_moment_share_one_secret(tmp_path):
    path = tmp_path / "secrets" / "form.key"
    workers = [
        subprocess.Popen([sys.executable, "-c", SHOW, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    for worker in workers:
        worker.stdin.close()
    said = {worker.stdout.read() for worker in workers}
    for worker in workers:
        worker.stdout.close()
        assert worker.wait(30) == 0
    assert said == {secret_of(path).hex() + "\n"}
    assert path.stat().st_mode & 0o077 == 0
    assert [each.name for each in path.parent.iterdir()] == [path.name]
