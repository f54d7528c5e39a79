"""Programs with roots of their own: real ones of Rust and Go, and planted ones."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

import certificates
from certificates import Made
from places.elf import anchors, elf, roots
from places.planted import Root
from readers import clients
from trustmend.discover import discover
from trustmend.formats import pem
from trustmend.host import Host
from trustmend.model import Family, Location, Role
from trustmend.places import image

GO_SOURCE = """
package fallback

import (
	"crypto/x509"
	_ "embed"
)

//go:embed bundle
var bundle []byte

func Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	found, _ := x509.ParseCertificates(bundle)
	for _, one := range found {
		pool.AddCert(one)
	}
	pool.AppendCertsFromPEM(bundle)
	return pool
}
"""
GO_MAIN = """
package main

import "MODULE"

func main() { println(len(fallback.Pool().Subjects())) }
"""
PADDING = {".text": bytes(2 << 20)}


@pytest.fixture
def root(tmp_path: Path) -> Root:
    root = Root(tmp_path / "root")
    root.passwd("/home/ann")
    return root


def held(location: Location) -> set[str]:
    """The SHA-256 of what a location's bytes hold."""
    return {entry.certificate.sha256 for entry in pem.read(location.data or b"").entries}


def sha256(made: Sequence[Made]) -> set[str]:
    return {one.sha256 for one in made}


@pytest.mark.parametrize(
    "folder", ["/usr/local/bin", "/opt/tool/bin", "/home/ann/.cargo/bin", "/home/ann/go/bin", "/home/ann/.local/bin"]
)
def test_whole_certificates_are_read(root: Root, folder: str) -> None:
    der = b"\0\0".join(one.der for one in roots())
    path = root.file(f"{folder}/tool", elf({**PADDING, ".rodata": b"a\xa0\x03\x02\x01\x02\x02b" + der}))

    (one,) = discover(root.host)

    assert (one.path, one.part, one.family, one.role) == (path, "compiled-in roots", Family.TOOL, Role.PUBLIC)
    assert [(use.reader, use.program) for use in one.uses] == [("rustls", path)]
    assert held(one) == sha256(roots())


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("big", [True, False])
def test_every_kind_of_elf_is_read(root: Root, wide: bool, big: bool) -> None:
    der = b"".join(one.der for one in roots())
    root.file("/usr/local/bin/tool", elf({**PADDING, ".rodata": der}, wide=wide, big=big))

    (one,) = discover(root.host)

    assert held(one) == sha256(roots())


def test_subjects_and_keys_are_told_by_the_hosts_own_certificates(root: Root) -> None:
    twin = certificates.root("Root 3", key="another key")  # the name of one of them alone
    root.file("/usr/local/bin/tool", elf({**PADDING, ".rodata": anchors(roots())}))
    root.file("/etc/ssl/certs/ca-certificates.crt", certificates.bundle_pem(twin, *roots(), certificates.root("New")))

    (one,) = (one for one in discover(root.host) if one.part)

    assert held(one) == sha256(roots())
    assert "only subject and key stand there" in one.findings[0].message


def test_strangers_keys_are_no_list(root: Root) -> None:
    root.file("/usr/local/bin/tool", elf({**PADDING, ".rodata": anchors(roots())}))

    assert discover(root.host) == []


@pytest.mark.parametrize("name", ["tool", "node"])
def test_a_few_certificates_or_a_small_file_are_no_list(root: Root, name: str) -> None:
    few = b"".join(one.der for one in roots()[:-1])
    root.file(f"/usr/local/bin/{name}", elf({**PADDING, ".rodata": few}))
    root.file("/usr/local/bin/small", elf({".rodata": b"".join(one.der for one in roots())}))

    assert discover(root.host) == []


@pytest.mark.parametrize(
    ("path", "reader", "remedy"),
    [
        ("/home/ann/.deno/bin/deno", "rustls", "DENO_CERT"),
        ("/home/ann/.bun/bin/bun", "node", "NODE_EXTRA_CA_CERTS"),
    ],
)
def test_some_programs_are_known_by_name(root: Root, path: str, reader: str, remedy: str) -> None:
    root.file(path, elf({**PADDING, ".rodata": b"".join(one.der for one in roots())}))

    (one,) = discover(root.host)

    assert remedy in (one.remedy or "")
    assert (one.family, one.uses[0].reader) == (Family.NODE, reader)


def test_the_real_uv(root: Root) -> None:
    """It is built with webpki-root-certs."""
    root.file("/usr/local/bin/uv", Path(clients.installed("uv")).read_bytes())

    (one,) = discover(root.host)

    labels = {entry.certificate.label for entry in pem.read(one.data or b"").entries}
    assert {"ISRG Root X1", "USERTrust RSA Certification Authority"} <= labels
    assert len(held(one)) > 100
    assert one.remedy is not None
    assert "SSL_CERT_FILE" in one.remedy


@pytest.mark.slow
@pytest.mark.needs("go")
@pytest.mark.parametrize(
    ("module", "role", "form"),
    [
        ("golang.org/x/crypto/x509roots/fallback", Role.UNKNOWN, "der"),
        ("golang.org/x/crypto/x509roots/fallback", Role.UNKNOWN, "pem"),
        ("github.com/certifi/gocertifi", Role.PUBLIC, "pem"),
        ("example.org/roots", None, "der"),
    ],
)
def test_a_real_go_program(root: Root, tmp_path: Path, module: str, role: Role | None, form: str) -> None:
    """Of the module's name and make, with our roots; what Go says of a program's modules decides whether it is read."""
    source = tmp_path / "source"
    (source / "roots").mkdir(parents=True)
    (source / "roots" / "fallback.go").write_text(GO_SOURCE)
    (source / "roots" / "bundle").write_bytes(b"".join(getattr(one, form) for one in roots()))
    (source / "roots" / "go.mod").write_text(f"module {module}\n")
    (source / "main.go").write_text(GO_MAIN.replace("MODULE", module))
    (source / "go.mod").write_text(
        f"module example.org/main\n\nrequire {module} v0.0.0\n\nreplace {module} => ./roots\n"
    )
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GOFLAGS": "-mod=mod", "GOPROXY": "off",
               "GOTOOLCHAIN": "local", "GONOSUMDB": "*"}  # fmt: skip
    subprocess.run(["go", "build", "-o", "main", "."], cwd=source, env=environ, capture_output=True, check=True)
    said = subprocess.run([str(source / "main")], env=environ, capture_output=True, text=True, check=True)
    root.file("/home/ann/go/bin/main", (source / "main").read_bytes())

    found = discover(root.host)

    assert int(said.stderr) == len(roots())
    if role is None:
        assert found == []
        return
    (one,) = found
    assert (one.role, one.uses[0].reader, held(one)) == (role, "go", sha256(roots()))
    assert ("fallback-roots" in {finding.code for finding in one.findings}) is (role is Role.UNKNOWN)


def test_a_file_is_read_in_windows(tmp_path: Path) -> None:
    """Needles across the border of two windows are found once."""
    (tmp_path / "file").write_bytes(bytes((1 << 20) - 3) + b"needle" + bytes(1 << 20) + b"needle")
    with Host().opened(str(tmp_path / "file")) as file:
        found = image.search(file, [(0, (2 << 20) + 9)], (b"needle",))

    assert found == {b"needle": [(1 << 20) - 3, (2 << 20) + 3]}


def test_only_regular_files_are_opened_and_none_blocks(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"1234")

    for name, limit, code in (("pipe", 9, errno.EINVAL), (".", 9, errno.EINVAL), ("file", 3, errno.EFBIG)):
        with pytest.raises(OSError, match=r".+") as caught:
            Host().opened(str(tmp_path / name), limit=limit)
        assert caught.value.errno == code
    with Host(str(tmp_path)).opened("/file", limit=4) as file:
        assert file.read() == b"1234"
