"""Discovery on the machine that runs the tests, against `find` over the names that stores are known by. Reads only."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from trustmend import discover as discovery
from trustmend.discover import discover
from trustmend.host import Host
from trustmend.model import Family
from trustmend.places.names import TESTS

NAMES = (
    "cacert.pem", "cacerts.txt", "cacerts", "jssecacerts", "ca-certificates.crt", "roots.pem", "ca-bundle.crt",
    "cert.pem",
)  # fmt: skip
ELSEWHERE = ("/tmp/", "/proc/", "/var/tmp/", "/etc/default/", "/mnt/", "/media/", "/run/")  # noqa: S108


def known_by_find() -> set[str]:
    """The resolved paths of all files with a store's name and a store's content, but for tests' and examples'."""
    tests = [word for name in NAMES for word in ("-o", "-name", name)][1:]
    said = subprocess.run(["find", "/", "-xdev", "(", *tests, ")", "-print0"], capture_output=True, check=False).stdout
    found = set()
    for name in filter(None, said.split(b"\0")):
        path = os.fsdecode(name)
        real = os.path.realpath(path)
        if path.startswith(ELSEWHERE) or TESTS.intersection(path.split("/")) or not os.path.isfile(real):
            continue
        with open(real, "rb") as file:
            head = file.read(65536)
        if b"-----BEGIN CERT" in head or head[:4] in (b"\xfe\xed\xfe\xed", b"\xce\xce\xce\xce") or head[:1] == b"\x30":
            found.add(real)
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees every home")
def test_everything_that_find_finds_is_found_and_each_path_once() -> None:
    host = Host("/", {})

    locations = discover(host)

    expected = {path for path in known_by_find() if not path.startswith(discovery.own_folders())}
    assert expected, "there is no trust store at all here: this test shows nothing"
    assert expected - {os.path.realpath(one.path) for one in locations} == set()
    # Who reads a store that another place knows says its path again: a process, a setting, a Node built for it.
    readers = [one for one in locations for use in one.uses if use.process or use.setting or "this Node" in use.how]
    placed = [one for one in locations if one.part or one not in readers]
    assert [place for place, times in Counter((one.path, one.part) for one in placed).items() if times > 1] == []


def test_named_paths_replace_the_discovery(tmp_path: Path) -> None:
    (one, other) = discover(Host(), paths=["/etc/hosts", "there"])

    assert (one.path, one.family, one.named, one.by_user) == ("/etc/hosts", Family.CUSTOM, True, True)
    assert other.path == os.path.join(os.getcwd(), "there")
    assert [one.path for one in discover(Host(str(tmp_path)), paths=["there", "/etc/x"])] == ["/there", "/etc/x"]


def test_our_own_environment_is_marked() -> None:
    own = os.path.join(sys.prefix, "lib", "cacert.pem")

    (one, other) = discover(Host(), paths=[own, "/etc/hosts"])

    assert (one.own, other.own) == (sys.prefix != sys.base_prefix, False)


def test_discovery_imports_nothing_heavy() -> None:
    script = (
        "import sys, trustmend.discover, trustmend.places.content\n"
        "print(*sorted(m for m in ('cryptography', 'typer', 'rich', 'ssl', 'asyncio') if m in sys.modules))"
    )
    source = os.path.dirname(os.path.dirname(discovery.__file__))

    done = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": source}, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == ""
