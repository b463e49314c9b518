"""What `schoolgate install` does to a Debian-like system, as a list of steps that is shown before any of it is done."""

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

USER: Final = "schoolgate"
UNITS: Final = ("schoolgate.service", "schoolgate-steer.service", "schoolgate-gateway.service")
BESIDE: Final = Path(__file__).with_name("systemd")
CONFIGURATION: Final = """\
# Schoolgate on this machine. Every key: the README's table. What may be opened stands nowhere here: that is signed policy.
dns:
  listen: ["0.0.0.0:53", "[::]:53"]
  # upstreams: [tls://9.9.9.9#dns.quad9.net]
  # page_addresses: [10.10.0.1]           # this box, as devices see it
proxy:
  listen: ["0.0.0.0:3128"]
  # tls_listen: ["0.0.0.0:3129"]          # the same by TLS, under the name in public_url
  # transparent_listen: ["0.0.0.0:8081", "[::]:8082"]
  # page_listen: ["0.0.0.0:80", "0.0.0.0:443"]
admin:
  listen: ["0.0.0.0:8443"]
  # public_url: https://filter.school.example:8443
# gateway:                                # only where this box is the router: docs/deploy.md
#   outside: wan0
#   apart: true                           # schoolgate-steer.service writes the permits
#   admin: [10.10.9.0/24]
#   networks:
#     pupils: {interface: lan0.10, prefixes: [10.10.1.0/24]}
"""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is done, in words and in deed. Nothing to be done: `done` already."""

    words: str
    act: Callable[[], object]
    done: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where things go. `root`: below this folder instead of in the system itself; no program is run then."""

    root: Path = Path("/")
    data: Path = Path("/var/lib/schoolgate")
    config: Path = Path("/etc/schoolgate/schoolgate.yaml")

    def at(self, path: Path) -> Path:
        return self.root / path.relative_to("/")

    @property
    def units(self) -> Path:
        return self.at(Path("/etc/systemd/system"))

    @property
    def real(self) -> bool:
        return self.root == Path("/")


def unit(name: str, place: Place) -> str:
    """A unit for this program at this place."""
    program = Path(sys.executable).with_name("schoolgate")
    home = "read-only" if program.is_relative_to("/home") or program.is_relative_to("/root") else "yes"
    text = (BESIDE / name).read_text(encoding="utf-8")
    return text.format(program=program, config=place.config, data=place.data, home=home)


def installing(place: Place) -> Iterator[Step]:
    """The steps, those that are done already too."""
    if place.real:
        yield Step(f"make the system's user {USER}, who cannot sign in", _make_user, _has_user())
    for folder, mode in ((place.config.parent, 0o750), (place.data, 0o750)):
        yield _folder(place, folder, mode)
    config = place.at(place.config)
    yield Step(f"write {place.config}, to be edited", lambda: _write(config, CONFIGURATION, 0o640), config.exists())
    for name in UNITS:
        path, text = place.units / name, unit(name, place)
        same = path.exists() and path.read_text(encoding="utf-8") == text
        yield Step(f"write /etc/systemd/system/{name}", _writing(path, text), same)
    if place.real:
        yield Step("systemctl daemon-reload", lambda: _run("systemctl", "daemon-reload"))
        yield Step(f"systemctl enable {' '.join(UNITS)} (starts none of them)", lambda: _run("systemctl", "enable", *UNITS))


def uninstalling(place: Place) -> Iterator[Step]:
    """The way back. The data folder stays: in it lies the school's signed record."""
    if place.real:
        yield Step(f"systemctl disable --now {' '.join(UNITS)}", lambda: _run("systemctl", "disable", "--now", *UNITS))
        yield Step("take the gateway's rules away, and stop forwarding", _remove_rules(place))
    for name in UNITS:
        path = place.units / name
        yield Step(f"remove /etc/systemd/system/{name}", _removing(path), not path.exists())
    if place.real:
        yield Step("systemctl daemon-reload", lambda: _run("systemctl", "daemon-reload"))


def refused(place: Place) -> str:
    """Why this cannot be done here; "" if it can."""
    if not place.real:
        return ""
    if os.geteuid():
        return "this needs root: sudo schoolgate install"
    missing = [each for each in ("systemctl", "useradd", "nft", "sysctl") if shutil.which(each) is None]
    return f"this system has no {', '.join(missing)}; on Debian: apt-get install systemd nftables procps" if missing else ""


def _folder(place: Place, folder: Path, mode: int) -> Step:
    path = place.at(folder)

    def make() -> None:
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
        if place.real:
            shutil.chown(path, USER if folder == place.data else "root", USER)

    return Step(f"make the folder {folder}", make, path.is_dir())


def _write(path: Path, text: str, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    if os.geteuid() == 0 and _has_user() and mode == 0o640:
        shutil.chown(path, "root", USER)


def _writing(path: Path, text: str) -> Callable[[], None]:
    return lambda: _write(path, text, 0o644)


def _removing(path: Path) -> Callable[[], None]:
    return lambda: path.unlink(missing_ok=True)


def _remove_rules(place: Place) -> Callable[[], None]:
    from appliance.gateway.applying import remove, rules_folder

    return lambda: remove(rules_folder(place.data))


def _has_user() -> bool:
    try:
        pwd.getpwnam(USER)
    except KeyError:
        return False
    return True


def _make_user() -> None:
    _run("useradd", "--system", "--user-group", "--home-dir", "/var/lib/schoolgate", "--shell", "/usr/sbin/nologin", USER)


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 - words of ours
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip() or 'failed'}")
