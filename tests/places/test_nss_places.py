"""Databases and policies of browsers, planted in a root."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

import certificates
from places.planted import Root
from trustmend.host import Host
from trustmend.model import Family, Kind, Loaded, Location, Role, Store
from trustmend.places import nss
from trustmend.stores import Reading, read_stores

HOME = "/home/ana"
CA = certificates.root("Our Own CA")


@pytest.fixture
def root(tmp_path: Path) -> Root:
    made = Root(tmp_path / "root")
    made.passwd(HOME)
    return made


def locations(root: Root) -> dict[str, Location]:
    found = {one.path: one for one in root.found().values() if one.family is Family.BROWSER}
    assert all(use.extends for one in found.values() for use in one.uses)
    return found


def stores(root: Root) -> dict[str, Store]:
    return {one.path: one for one in read_stores(root.host, locations(root).values(), Reading())}


def test_databases_of_every_program(root: Root) -> None:
    planted = {
        "/etc/pki/nssdb/cert9.db": "every NSS program",
        f"{HOME}/.pki/nssdb/cert9.db": "Chromium",
        f"{HOME}/.local/share/pki/nssdb/cert9.db": "Chromium",
        f"{HOME}/.mozilla/firefox/x1.default/cert9.db": "Firefox, profile x1.default",
        f"{HOME}/.config/mozilla/firefox/x2.default-esr/cert9.db": "Firefox, profile x2.default-esr",
        f"{HOME}/.thunderbird/x3.default/cert9.db": "Thunderbird, profile x3.default",
        f"{HOME}/snap/firefox/common/.mozilla/firefox/x4/cert9.db": "Firefox (snap), profile x4",
        f"{HOME}/.var/app/org.chromium.Chromium/.pki/nssdb/cert9.db": "Chromium (flatpak)",
        f"{HOME}/elsewhere/p/cert9.db": "Firefox, profile p",
    }
    for path in planted:
        root.file(path)
    root.file(f"{HOME}/snap/chromium/2900/.pki/nssdb/cert9.db")
    root.link(f"{HOME}/snap/chromium/current", "2900")
    root.file(f"{HOME}/.mozilla/firefox/profiles.ini", f"[Profile0]\nIsRelative=0\nPath={HOME}/elsewhere/p/\n".encode())
    root.file(f"{HOME}/.mozilla/firefox/Crash Reports/events")

    found = locations(root)

    current = f"{HOME}/snap/chromium/current/.pki/nssdb/cert9.db"
    assert set(found) == {*planted, current}
    assert all(found[path].uses[0].how.startswith(who) for path, who in planted.items())
    assert {one.role for one in found.values()} == {None}
    assert not any(one.findings for one in found.values())


def test_work_that_is_not_finished_is_told(root: Root) -> None:
    path = root.file(f"{HOME}/.pki/nssdb/cert9.db")
    root.file(f"{path}-journal", b"x")
    root.file(f"{path}-wal", b"")

    assert [one.code for one in locations(root)[path].findings] == ["unfinished-database"]


def test_a_dbm_database_counts_only_without_its_successor(root: Root) -> None:
    old = root.file(f"{HOME}/.mozilla/firefox/old/cert8.db", b"\x00\x06\x15\x61" + bytes(100))
    root.file(f"{HOME}/.mozilla/firefox/new/cert8.db", b"\x00\x06\x15\x61")
    new = root.file(f"{HOME}/.mozilla/firefox/new/cert9.db")

    found = stores(root)

    assert set(found) == {old, new}
    assert (found[old].role, found[old].counted, found[old].content.kind) == (Role.UNKNOWN, False, Kind.NSS)
    assert [one.code for one in found[old].findings] == ["dbm-database"]
    assert found[old].remedy


def test_root_follows_no_link_out_of_a_home(root: Root) -> None:
    root.file("/srv/secret/cert9.db")
    (root.folder / "srv/secret/cert9.db").chmod(0o600)
    root.link(f"{HOME}/.pki/nssdb", "/srv/secret")

    assert locations(root) == {}


def test_what_firefox_policies_install(root: Root) -> None:
    policy = "/etc/firefox/policies/policies.json"
    install = ["/srv/corp.der", "corp.pem", "own.pem", "missing.pem", "", 7]
    text = json.dumps({"policies": {"Certificates": {"ImportEnterpriseRoots": True, "Install": install}}}, indent=1)
    root.file(policy, text.encode())
    root.file("/srv/corp.der", CA.der)
    root.file("/usr/lib64/mozilla/certificates/corp.pem", CA.pem + certificates.root("Never read").pem)
    root.file(f"{HOME}/.mozilla/certificates/own.pem", CA.pem)

    found = stores(root)

    missing = "/usr/lib/mozilla/certificates/missing.pem"
    assert set(found) == {
        "/srv/corp.der",
        "/usr/lib64/mozilla/certificates/corp.pem",
        f"{HOME}/.mozilla/certificates/own.pem",
        missing,
    }
    assert found[missing].content.error == "there is no such file"
    for path, store in found.items():
        setting = store.uses[0].setting
        assert setting is not None
        assert (setting.file, setting.key) == (policy, "Certificates.Install")
        line = text.splitlines()[(setting.line or 0) - 1]
        assert path.rpartition("/")[2] in line
        if path != missing:
            view = store.content.views["nss"]
            assert isinstance(view, Loaded)
            assert [entry.certificate.label for entry in view.entries] == ["Our Own CA"]


def test_what_chromium_policies_hold(root: Root) -> None:
    path = "/etc/chromium/policies/managed/corp.json"
    values = [base64.b64encode(CA.der).decode(), "not base64!", 3]
    root.file(path, json.dumps({"CACertificates": values}).encode())
    root.file("/etc/opt/chrome/policies/managed/other.json", b'{"HomepageLocation": "x"}')

    (store,) = stores(root).values()

    assert store.path == f"{path}!/CACertificates"
    assert [entry.certificate.sha256 for entry in store.content.entries] == [CA.sha256]
    assert store.remedy


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"policies": 1}', b"\xff", b"[" * 100_000, b'{"policies": []}'])
def test_odd_policies_are_nothing(root: Root, text: bytes) -> None:
    root.file("/etc/firefox/policies/policies.json", text)
    root.file("/etc/chromium/policies/managed/x.json", text)

    assert locations(root) == {}


@pytest.mark.needs("certutil")
def test_a_database_without_anchors_of_its_own_is_not_counted(tmp_path: Path) -> None:
    from formats.test_nss import Database

    folder = tmp_path / "home" / ".pki"
    folder.mkdir(parents=True)
    database = Database(folder / "nssdb")
    host = Host(environ={"HOME": str(tmp_path / "home")})
    public = certificates.root("A public root")
    reading = Reading(public_roots=lambda: frozenset({public.sha256}))

    def role() -> tuple[Role, bool]:
        found = nss.locations(host, {"homes": [str(tmp_path / "home")]})
        (store,) = read_stores(host, (one for one in found if one.path.startswith(str(tmp_path))), reading)
        return store.role, store.counted

    assert role() == (Role.UNKNOWN, False)
    database.add(certificates.intermediate(public), "seen once", ",,")
    assert role() == (Role.UNKNOWN, False)
    database.add(CA, "ours", "C,,")
    assert role() == (Role.PRIVATE, False)
    database.add(public, "barred", "p,,")
    assert role() == (Role.PUBLIC, True)
