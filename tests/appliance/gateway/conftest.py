"""The resolver's tests' school, for the gateway's."""

import importlib.util
import sys
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location("dns_fakes", Path(__file__).parents[2] / "dns" / "conftest.py")
_FAKES = importlib.util.module_from_spec(_SPEC)
sys.modules["dns_fakes"] = _FAKES
_SPEC.loader.exec_module(_FAKES)


@pytest.fixture
def make_snapshot():
    return _FAKES._snapshot


@pytest.fixture
def at():
    return _FAKES.AT.timestamp()
