"""NSS databases made by the real certutil, and what certutil itself says of servers with them."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import authority
import certificates
from certificates import Made
from trustmend.formats import nss, registry
from trustmend.model import NSS, OPENSSL, Content, EntryKind, Kind, Loaded, Refused, Verdict
from trustmend.readers import READERS
from trustmend.validate import Anchors, validate

pytestmark = pytest.mark.needs("certutil")


class Database:
    """A cert9.db in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.certutil("-N", "--empty-password")

    def certutil(self, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run it on this database."""
        command = ["certutil", *arguments, "-d", f"sql:{self.folder}"]
        return subprocess.run(command, input=stdin, env={"PATH": "/usr/bin:/bin"}, capture_output=True, check=False)

    def add(self, made: Made, nickname: str, trust: str) -> None:
        """Import a certificate with trust flags as `certutil -t` takes them: TLS, e-mail, code."""
        done = self.certutil("-A", "-n", nickname, "-t", trust, stdin=made.der)
        assert done.returncode == 0, done.stderr

    def accepts(self, made: Made) -> bool:
        """Whether NSS takes the certificate, which is put in, as a TLS server's."""
        self.add(made, "the server", ",,")
        return self.certutil("-V", "-n", "the server", "-u", "V").returncode == 0

    def content(self) -> Content:
        """What we read."""
        data = (self.folder / "cert9.db").read_bytes()
        assert registry.recognise(data) is Kind.NSS
        return nss.read(data)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "db")


def test_an_empty_database(database: Database) -> None:
    content = database.content()

    assert (content.entries, content.empty, content.error) == ((), True, None)
    assert content.views[NSS] == Loaded(())


def test_entries_nicknames_and_trust(database: Database) -> None:
    made = {flags: certificates.root(f"Root {flags}") for flags in ("C,,", ",,", ",C,", "p,,", "CT,C,C", "P,,")}
    for flags, one in made.items():
        database.add(one, f"nick {flags}", flags)

    content = database.content()

    assert {e.certificate.sha256: e.alias for e in content.entries} == {
        one.sha256: f"nick {flags}" for flags, one in made.items()
    }
    kinds = {e.certificate.sha256: (e.kind, bool(e.reject)) for e in content.entries}
    assert {flags: kinds[one.sha256] for flags, one in made.items()} == {
        "C,,": (EntryKind.CERTIFICATE, False),
        "CT,C,C": (EntryKind.CERTIFICATE, False),
        "p,,": (EntryKind.CERTIFICATE, True),
        ",,": (EntryKind.PLAIN, False),
        ",C,": (EntryKind.PLAIN, False),
        "P,,": (EntryKind.PLAIN, False),  # a trusted peer issues nothing
    }
    assert isinstance(content.views[OPENSSL], Refused)


CASES = {
    "root": {"new": "C,,"},
    "root that is only known": {"new": ",,"},
    "root for mail only": {"new": ",C,"},
    "root barred": {"new": "p,,"},
    "issuing CA": {"issuing": "C,,"},
    "issuing CA barred below its root": {"new": "C,,", "issuing": "p,,"},
    "cross-sign": {"cross": "C,,"},
    "old root": {"old": "C,,"},
    "old root and cross-sign": {"old": "C,,", "cross": ",,"},
    "expired root and its cross-sign": {"expired": "C,,", "crossed_by_expired": ",,"},
}


@pytest.mark.parametrize("name", CASES)
def test_nss_itself_agrees(database: Database, name: str) -> None:
    vendor = authority.make()
    for member, flags in CASES[name].items():
        database.add(getattr(vendor, member), member, flags)
    view = database.content().views[NSS]
    assert isinstance(view, Loaded)
    ours = validate(
        vendor.issuing.certificate,
        # What is in the database without trust NSS uses on the way, as if it had been sent.
        [e.certificate for e in database.content().entries] + [vendor.issuing.certificate],
        Anchors(view.entries),
        READERS["nss"],
        datetime.now(UTC),
    )
    if "issuing" not in CASES[name]:
        database.add(vendor.issuing, "issuing", ",,")

    assert (ours.verdict is Verdict.TRUSTED) == database.accepts(vendor.leaf)


@pytest.fixture(scope="session")
def intact(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    database = Database(tmp_path_factory.mktemp("nss") / "db")
    for number in range(3):
        database.add(certificates.root(f"Root {number}"), f"nick {number}", "C,,")
    return (database.folder / "cert9.db").read_bytes()


@given(
    changes=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=20),
    end=st.sampled_from([None, 100, 5000, 20000]),
)
def test_damage_never_raises(intact: bytes, changes: list[tuple[int, int]], end: int | None) -> None:
    broken = bytearray(intact)
    for place, value in changes:
        broken[place % len(broken)] = value

    content = nss.read(bytes(broken[:end]))

    assert content.kind is Kind.NSS
    assert content.error is not None or NSS in content.views


NEWER = {"anchor": b"\x00\x00\x00\x02", "barred": b"\x00\x00\x00\x03", "must verify": b"\x00\x00\x00\x04"}


def test_the_newer_sort_of_trust_and_large_pages_as_firefox_writes_them(database: Database) -> None:
    """Rows as Firefox 153 (NSS 3.125) wrote them when a policy installed a certificate; it has pages of 32 KiB."""
    made = {level: certificates.root(f"Root {level}") for level in NEWER}
    old = certificates.root("Old sort")
    for level, one in made.items():
        database.add(one, level, ",,")
    database.add(old, "old", "C,,")
    database.add(certificates.root("Changed"), "changed", "C,,")
    changed = certificates.root("Changed")
    with closing(sqlite3.connect(database.folder / "cert9.db", isolation_level=None)) as connection:
        for column in ("a8c", "a62c", "a635"):
            connection.execute(f"ALTER TABLE nssPublic ADD COLUMN {column}")
        trust = [(one, NEWER[level], "sha256") for level, one in made.items()] + [(changed, NEWER["barred"], "sha1")]
        for number, (one, state, digest) in enumerate(trust):
            algorithm = b"\x00\x00\x02\x50" if digest == "sha256" else b"\x00\x00\x02\x20"
            row = (number + 1, b"\x00\x00\x00\x0b", algorithm, hashlib.new(digest, one.der).digest(), state)
            connection.execute("INSERT INTO nssPublic (id, a0, a8c, a635, a62c) VALUES (?, ?, ?, ?, ?)", row)
        connection.execute("PRAGMA page_size = 32768")
        connection.execute("VACUUM")

    content = database.content()

    assert {e.alias: (e.kind, bool(e.reject)) for e in content.entries} == {
        "anchor": (EntryKind.CERTIFICATE, False),
        "barred": (EntryKind.CERTIFICATE, True),
        "must verify": (EntryKind.PLAIN, False),
        "old": (EntryKind.CERTIFICATE, False),
        "changed": (EntryKind.CERTIFICATE, True),
    }
