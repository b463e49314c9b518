"""A real installation, begun by `schoolgate init` once; tests get copies of it."""

import shutil
from pathlib import Path

import pytest

from appliance.__main__ import main

INIT = ["init", "--authority", "Birchwood Council", "--school", "Oakfield Primary", "--network", "ks2=10.20.2.0/24"]


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
