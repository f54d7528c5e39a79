"""Node's roots: of the real Node, of programs that look like it, and of Debian's, which reads the system's."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import certificates
from certificates import Made
from hosts import clients
from hosts.machine import GUEST_ENVIRON, Guest
from places.elf import elf, node, roots
from places.planted import Root
from trustmend.audit import judge
from trustmend.discover import discover
from trustmend.formats import pem
from trustmend.host import Host
from trustmend.model import Family, Location, Role
from trustmend.places import image, tree
from trustmend.places import node as nodes
from trustmend.stores import Reading, read_stores


@pytest.fixture
def root(tmp_path: Path) -> Root:
    root = Root(tmp_path / "root")
    root.passwd("/home/ann")
    return root


def held(location: Location) -> set[str]:
    """The SHA-256 of what a location's bytes hold."""
    return {entry.certificate.sha256 for entry in pem.read(location.data or b"").entries}


def sha256(*made: Made) -> set[str]:
    return {one.sha256 for one in made}


@pytest.mark.needs("node")
def test_the_real_nodes_roots_are_read_from_its_bytes() -> None:
    program = os.path.realpath(shutil.which("node") or "")
    libraries = [found for pattern in nodes.LIBRARIES for found in glob.glob(pattern)]  # of a distribution's own Node
    script = "console.log(process.version.slice(1)); console.log(require('tls').rootCertificates.join('\\n'))"
    said = subprocess.run(
        ["node", "--use-bundled-ca", "-e", script], env=GUEST_ENVIRON, capture_output=True, check=True
    ).stdout
    version, _, text = said.partition(b"\n")

    read = (nodes.read(Host(), path) for path in (program, *libraries))
    found = next(one for one in read if one is not None and one.roots is not None)

    assert found.roots is not None
    assert found.version == version.decode()
    assert {one.sha256 for one in found.roots.certificates} == {
        entry.certificate.sha256 for entry in pem.read(text).entries
    }


@pytest.mark.privileged
@pytest.mark.slow
def test_debians_node_reads_openssls_default_store(bookworm_java: Guest) -> None:
    ours = certificates.root("Ours")
    with bookworm_java.session() as session:
        Path(session.path("/usr/local/share/ca-certificates/ours.crt")).write_bytes(ours.pem)
        assert session.run(["update-ca-certificates"]).returncode == 0
        with clients.server(session, clients.chain_from(certificates.intermediate(ours))) as port:
            done = session.run(["node", "-e", clients.NODE, f"https://127.0.0.1:{port}/"])

        host = Host(session.path("/").rstrip("/"))
        found = [one for one in discover(host) if any(use.program == "/usr/bin/node" for use in one.uses)]

    assert done.returncode == 0, done.stderr
    assert {one.path for one in found} == {"/usr/lib/ssl/cert.pem", "/usr/lib/ssl/certs"}
    assert {(use.reader, use.version[:3]) for one in found for use in one.uses if use.version} == {("openssl-3", "18.")}


@pytest.mark.parametrize(
    "path",
    [
        "/usr/bin/node",
        "/usr/local/bin/node",
        "/opt/node-v22.1.0-linux-x64/bin/node",
        "/opt/product/node/bin/node",
        "/usr/local/n/versions/node/22.1.0/bin/node",
        "/home/ann/.nvm/versions/node/v22.1.0/bin/node",
        "/home/ann/.volta/tools/image/node/22.1.0/bin/node",
        "/home/ann/.local/share/fnm/node-versions/v22.1.0/installation/bin/node",
        "/home/ann/.asdf/installs/nodejs/22.1.0/bin/node",
        "/home/ann/.local/share/mise/installs/node/22.1.0/bin/node",
        "/home/ann/.vscode-server/cli/servers/Stable-1/server/node",
    ],
)
def test_a_node_is_found(root: Root, path: str) -> None:
    root.file(path, node(roots()))

    (one,) = discover(root.host)

    assert (one.path, one.part, one.family, one.role) == (path, "compiled-in roots", Family.NODE, Role.PUBLIC)
    assert (one.owner, one.remedy) == ("Node 22.1.0", nodes.REMEDY)
    assert [(use.reader, use.program, use.version) for use in one.uses] == [("node", path, "22.1.0")]
    assert [finding.code for finding in one.findings] == ["compiled-in"]
    assert held(one) == sha256(*roots())


def test_a_link_and_its_target_are_one(root: Root) -> None:
    path = root.file("/opt/node-22/bin/node", node(roots()))
    root.link("/usr/local/bin/node", path)

    assert [one.path for one in discover(root.host)] == [path]


def test_one_built_for_the_systems_store_is_that_stores_reader(root: Root) -> None:
    root.file("/usr/bin/node", node(roots(), "NODE_OPENSSL_CERT_STORE"))
    store = root.file("/etc/pki/tls/cert.pem", roots()[0].pem)

    uses = [use for one in discover(root.host) if one.path == store for use in one.uses]

    assert ("openssl-3", "/usr/bin/node", "22.1.0") in [(use.reader, use.program, use.version) for use in uses]
    assert not [one for one in discover(root.host) if one.part]


def test_the_roots_of_a_small_node_are_in_its_library(root: Root) -> None:
    root.file("/usr/bin/node", elf({".rodata": b"nothing"}))
    library = root.file("/usr/lib/x86_64-linux-gnu/libnode.so.115", node(roots()))

    (one,) = discover(root.host)

    assert (one.path, one.uses[0].program) == (library, "/usr/bin/node")


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", b"\x7fELF", b"three roots", bytes(2 << 20)])
def test_what_is_no_node_is_none(root: Root, content: bytes) -> None:
    root.file("/usr/bin/node", node(roots()[:3]) if content == b"three roots" else content)

    assert discover(root.host) == []


def test_a_link_out_of_a_home_is_not_followed(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    target = root.file("/srv/secret/node", node(roots()))
    (root.folder / target.lstrip("/")).chmod(0o600)
    root.link("/home/ann/.local/bin/node", target)

    assert [one for one in nodes.locations(root.host, tree.survey(root.host)) if one.path == target] == []


def test_the_store_is_judged_and_says_what_to_do(root: Root) -> None:
    from authority import bundle, make

    authority = make()
    root.file("/usr/bin/node", node((*roots(), authority.new)))
    root.file("/usr/local/bin/node", node((*roots(), authority.old)))

    stores = read_stores(root.host, discover(root.host), Reading())
    verdicts = {store.path: judge(store, [bundle(authority)], root.host.now).verdict.value for store in stores}

    assert verdicts == {
        "/usr/bin/node!/compiled-in roots": "trusted",
        "/usr/local/bin/node!/compiled-in roots": "conditional",
    }
    assert all(store.counted and store.remedy == nodes.REMEDY for store in stores)


@given(st.binary(max_size=300), st.integers(0, 200))
def test_no_bytes_make_it_crash(tmp_path_factory: pytest.TempPathFactory, rest: bytes, cut: int) -> None:
    folder = tmp_path_factory.getbasetemp()
    good = elf({".rodata": rest, ".go.buildinfo": rest})
    for content in (b"\x7fELF\x02\x01" + rest, b"\x7fELF\x01\x02" + rest, good[:-cut], good[:cut] + rest):
        (folder / "program").write_bytes(content)
        with Host().opened(str(folder / "program")) as file:
            picture = image.image(file)
            if picture is not None:
                assert picture.go_modules is None or picture.is_go
                assert image.roots(picture, lambda: ()) is None
