"""A process that gives up a capability has it no more, nor has what it starts."""

import os
import subprocess
import sys

from appliance.capabilities import has

PROGRAM = """
import os, subprocess, sys
from appliance.capabilities import give_up, has
give_up()
child = "import os; from appliance.capabilities import has; print(has(os.getpid()))"
print(has(os.getpid()), subprocess.check_output([sys.executable, "-c", child], text=True).strip())
"""


def test_given_up_for_good():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_nobody_is_there():
    assert not has(2**22 + 1)
    assert has(os.getpid()) in (True, False)
