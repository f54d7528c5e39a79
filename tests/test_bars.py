"""Certificates that a system is told not to trust: the verdict says who says so."""

from __future__ import annotations

from pathlib import Path

import pytest

import shipped
from command import trustmend
from places.planted import Root
from trustmend.formats import pem

USERTRUST = shipped.pem("root-usertrust-rsa")
AAA = shipped.pem("root-aaa")


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path / "root")


def debian(root: Root, conf: bytes) -> None:
    root.file("/etc/os-release", b"ID=debian\n")
    root.file("/usr/local/share/ca-certificates/.keep")
    root.file("/etc/ssl/certs/ca-certificates.crt", pem.read(AAA).entries[0].certificate.pem)
    root.file("/usr/share/ca-certificates/mozilla/USERTrust_RSA.crt", USERTRUST)
    root.file("/etc/ca-certificates.conf", conf)


def test_a_deselected_root_is_distrusted_with_its_line(root: Root) -> None:
    debian(root, b"# by hand\nmozilla/A.crt\n!mozilla/USERTrust_RSA.crt\n")
    told = trustmend("--root", root.folder, "audit", "--json")

    row = told.store("/etc/ssl/certs/ca-certificates.crt")
    assert row["verdict"] == "distrusted"
    assert "barred by /etc/ca-certificates.conf, line 3 (!mozilla/USERTrust_RSA.crt)" in row["chains"][0]["reason"]
    left = trustmend("--root", root.folder, "patch", "--dry-run", "--allow-chroot", "--json").json()["cannot_fix"]
    assert any("line 3" in one["reason"] for one in left)


def test_a_selected_one_is_just_missing(root: Root) -> None:
    debian(root, b"mozilla/USERTrust_RSA.crt\n")

    told = trustmend("--root", root.folder, "audit", "--json")

    assert told.store("/etc/ssl/certs/ca-certificates.crt")["verdict"] == "conditional"


@pytest.mark.parametrize("folder", ["blocklist", "blacklist"])
def test_a_blocked_root_is_distrusted_with_its_file(root: Root, folder: str) -> None:
    root.file("/etc/os-release", b"ID=fedora\n")
    root.file("/etc/pki/ca-trust/source/anchors/.keep")
    root.file(f"/etc/pki/ca-trust/source/{folder}/old.pem", USERTRUST)
    root.file("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", AAA)

    row = trustmend("--root", root.folder, "audit", "--json").store("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem")

    assert row["verdict"] == "distrusted"
    assert f"barred by /etc/pki/ca-trust/source/{folder}/old.pem" in row["chains"][0]["reason"]
