"""What every test stands on: a clean environment, and the rule that CI skips nothing that can be installed.

A test that drives a real program says so with `needs("keytool")`; one that needs root and namespaces is `privileged`.
Where that is missing the test is skipped with the reason, or fails if the variable CI is set.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings

from hosts.machine import GUEST_ROOTS, Guest, Interpreter, Jdk, find_jdks, find_pythons
from hosts.tool import Tool, in_guest

ON_CI = bool(os.environ.get("CI"))
REAL_HOME = os.environ.get("HOME", "/")
# How this machine reaches a package index; only tests that install something get it back.
NETWORK_NAMES = ("PIP_CERT", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_DEFAULT_TIMEOUT", "PIP_PROXY")
HANDED_ON = "TRUSTMEND_TESTS_NETWORK"  # from the first process to its workers, which see a cleaned environment
NETWORK: dict[str, str] = (
    json.loads(os.environ[HANDED_ON])
    if HANDED_ON in os.environ
    else {n: value for n, value in os.environ.items() if n in NETWORK_NAMES or n.lower().endswith("_proxy")}
)
SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
if os.path.exists(SYSTEM_BUNDLE):  # a site's own CA is in it, where a proxy looks into connections
    NETWORK.setdefault("PIP_CERT", SYSTEM_BUNDLE)
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# A variable with one of these in its name may name a trust store, and the readers under test would follow it.
STORE_WORDS = ("CERT", "SSL", "CA_BUNDLE", "CACERT", "CAINFO", "CAFILE", "CA_FILE", "TLS", "ROOTS", "TRUST")
STORE_NAMES = (
    "JAVA_HOME",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "_JAVA_OPTIONS",
    "CLASSPATH",
    "PYTHONPATH",
    "NO_COLOR",
)

CASES = "TRUSTMEND_CASES"  # how many the differential tests judge

settings.register_profile(
    "fast", max_examples=25, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "ci", max_examples=200, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if ON_CI else "fast"))


def pytest_configure() -> None:
    """Take away what names a trust store, before any test module is imported."""
    for name in list(os.environ):
        if name in STORE_NAMES or (name != CASES and any(word in name.upper() for word in STORE_WORDS)):
            del os.environ[name]
    os.environ[HANDED_ON] = json.dumps(NETWORK)
    os.environ["PATH"] = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or fail on CI, where a program or a right is missing."""
    for marker in item.iter_markers("needs"):
        missing = [thing for thing in marker.args if not _is_there(thing)]
        if missing:
            unmet(f"missing here: {', '.join(missing)}; run scripts/test as root once to install it")
    if item.get_closest_marker("privileged") and not _may_unshare():
        unmet("needs root and the right to make namespaces")


def unmet(reason: str) -> NoReturn:
    """End the test: skipped, or failed on CI."""
    if ON_CI:
        pytest.fail(f"on CI nothing is skipped: {reason}", pytrace=False)
    pytest.skip(reason)


@cache
def _is_there(thing: str) -> bool:
    return os.path.exists(thing) if thing.startswith("/") else shutil.which(thing) is not None


@cache
def _may_unshare() -> bool:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return False
    done = subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True, check=False)
    return done.returncode == 0


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give the test process a home of its own, so that nothing reads or writes the developer's."""
    home = str(tmp_path_factory.mktemp("home"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", home)
        for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture
def clean_env(tmp_path: Path) -> dict[str, str]:
    """The whole environment for a program that a test starts; a copy, to add to."""
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    return {"PATH": SYSTEM_PATH, "HOME": str(home), "LC_ALL": "C.UTF-8"}


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A folder that other users can come to; pytest's own are below one that is its user's alone."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)  # noqa: S103  that is what it is for
        yield Path(name)


@pytest.fixture(scope="session")
def network_env() -> Mapping[str, str]:
    """What a pip needs on this machine to reach its index: proxy and certificate settings."""
    return dict(NETWORK)


@pytest.fixture(scope="session")
def jdks() -> list[Jdk]:
    """Every Java version of this machine, oldest first, two at least."""
    found = find_jdks()
    if len(found) < 2:
        unmet(f"{len(found)} Java runtimes with keytool, two are needed; run scripts/test as root once")
    return found


@pytest.fixture(scope="session")
def pythons() -> list[Interpreter]:
    """Every Python minor version >= 3.7 of this machine that has ssl, oldest first; see `trixie` for 3.13."""
    return find_pythons(REAL_HOME)


@pytest.fixture(scope="session")
def openssl() -> str:
    """The path of the `openssl` program."""
    return shutil.which("openssl", path=SYSTEM_PATH) or unmet("missing here: openssl")


def _guest(name: str) -> Guest:
    root = os.path.join(GUEST_ROOTS, name)
    if not _may_unshare():
        unmet("needs root and the right to make namespaces")
    if not os.path.exists(os.path.join(root, ".made-with")):
        unmet(f"there is no {root}; run scripts/test as root once to make it")
    return Guest(root)


@pytest.fixture(scope="session")
def trixie() -> Guest:
    """A Debian 13 with Python 3.13, OpenSSL 3.5, curl, wget, certtool, Java 21 and 25; for `privileged` tests."""
    return _guest("trixie")


@pytest.fixture(scope="session")
def bookworm() -> Guest:
    """A bare Debian 12 with nothing but Python 3.11 added; for `privileged` tests."""
    return _guest("bookworm")


@pytest.fixture(scope="session")
def bookworm_java() -> Guest:
    """A Debian 12 with Python 3.11, OpenSSL 3.0, curl, wget, node, p11-kit and Java 17; for `privileged` tests."""
    return _guest("bookworm-java")


@pytest.fixture(scope="session")
def client_guest() -> Guest:
    """A Debian 13 with TLS clients of many languages, see clients/matrix.py, and no Java; for `privileged` tests."""
    return _guest("clients")


@pytest.fixture(scope="session")
def bullseye() -> Guest:
    """A Debian 11 with Python 3.9, OpenSSL 1.1.1, curl, wget and a Java 11; for `privileged` tests."""
    return _guest("bullseye")


@pytest.fixture(scope="session")
def tool_in(network_env: Mapping[str, str]) -> Callable[[Guest], Tool]:
    """How trustmend is started in sessions of a guest whose Python is 3.11 or newer."""
    return lambda guest: in_guest(guest.root, GUEST_ROOTS, network_env)
