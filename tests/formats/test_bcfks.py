"""BCFKS stores, made and read by the real keytool with Bouncy Castle's provider."""

from __future__ import annotations

from pathlib import Path

import pytest

import certificates
from hosts.machine import Jdk
from keystores import STORE_PASSWORD, keytool
from trustmend.formats import bcfks, pkcs12, registry
from trustmend.host import Host
from trustmend.model import JAVA_OPEN, JAVA_PASSWORD, Content, EntryKind, Family, Kind, Loaded, Location, Refused
from trustmend.stores import Reading, read_stores

JAR = "/usr/share/java/bcprov.jar"
PROVIDER = ("-providerclass", "org.bouncycastle.jce.provider.BouncyCastleProvider", "-providerpath", JAR)
ROOT = certificates.root("Größe Root")

pytestmark = [pytest.mark.needs(JAR), pytest.mark.slow]


@pytest.fixture(scope="session")
def store(jdks: list[Jdk], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bcfks") / "store"
    where = ["-keystore", str(path), "-storetype", "BCFKS", *STORE_PASSWORD, *PROVIDER, "-noprompt"]
    keytool(jdks[0], "-importcert", "-alias", "Root One", *where, stdin=ROOT.pem, password="s3cret-s3cret")
    keytool(
        jdks[0], "-genkeypair", "-alias", "key", "-keyalg", "EC", "-dname", "CN=x", *where, password="s3cret-s3cret"
    )
    return path


def read(path: Path, password: str | None, *, keytools: list[str], host: Host | None = None) -> Content:
    return bcfks.read(path.read_bytes(), password, host=host or Host(), keytools=keytools, path=str(path))


def test_it_is_known_by_its_content(store: Path) -> None:
    data = store.read_bytes()

    assert registry.recognise(data) is Kind.BCFKS
    assert pkcs12.recognise(data) is None
    assert bcfks.recognise(ROOT.der) is None


def test_entries_by_keytools_word(store: Path, jdks: list[Jdk]) -> None:
    content = read(store, "s3cret-s3cret", keytools=[jdk.keytool for jdk in jdks])

    assert content.error is None
    kinds = {entry.alias: entry.kind for entry in content.entries}
    assert kinds == {"root one": EntryKind.CERTIFICATE, "key": EntryKind.KEY} or kinds == {
        "Root One": EntryKind.CERTIFICATE,
        "key": EntryKind.KEY,
    }
    assert ROOT.certificate in [entry.certificate for entry in content.entries]
    view = content.views[JAVA_PASSWORD]
    assert isinstance(view, Loaded)
    assert len(view.entries) == 2
    assert isinstance(content.views[JAVA_OPEN], Refused)


def test_a_wrong_password_is_said(store: Path, jdks: list[Jdk]) -> None:
    content = read(store, None, keytools=[jdks[0].keytool])

    assert content.error is not None
    assert "the password does not fit" in content.error


def test_without_what_it_takes_it_is_unreadable_with_the_reason(store: Path, tmp_path: Path, jdks: list[Jdk]) -> None:
    assert "no keytool here" in (read(store, None, keytools=[]).error or "")
    guest = Host(str(tmp_path))
    assert "foreign root" in (read(store, None, keytools=[jdks[0].keytool], host=guest).error or "")


def test_the_audit_reads_it(store: Path, jdks: list[Jdk]) -> None:
    where = Location(str(store), Family.CUSTOM, named=True, by_user=True)

    (found,) = read_stores(Host(), [where], Reading("s3cret-s3cret", keytools=lambda: [jdks[0].keytool]))

    assert (found.content.kind, len(found.content.entries)) == (Kind.BCFKS, 2)
