"""A real installation, begun by `schoolgate init` once; tests get copies of it."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.__main__ import main

INIT = ["init", "--authority", "Birchwood Council", "--school", "Oakfield Primary", "--network", "ks2=10.20.2.0/24"]


@pytest.fixture(autouse=True)
def own_umask() -> Iterator[None]:
    """`up` sets the umask of its process, which here is that of the tests."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture(scope="session")
def begun(tmp_path_factory) -> Path:
    data = tmp_path_factory.mktemp("installation") / "data"
    assert main([*INIT, "--data", str(data)]) == 0
    return data


@pytest.fixture
def installation(begun, tmp_path) -> tuple[Path, str]:
    """The data folder and the address of its database."""
    data = tmp_path / "data"
    shutil.copytree(begun, data)
    return data, f"sqlite:///{data}/desk.sqlite3"
