"""The 30th of May 2020 again: AddTrust's root and its cross-sign of USERTrust ended, and servers went on to send it.

The issuing CA's own certificate, which lived in all of the times, stands for a leaf of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

import shipped
from differential import judges
from differential.cases import Planted
from hosts.machine import Guest, Jdk
from trustmend.formats import pem
from trustmend.model import OPENSSL, Loaded, Verdict
from trustmend.readers import READERS
from trustmend.validate import Anchors, validate

TIMES = (
    datetime(2019, 9, 30, tzinfo=UTC),
    datetime(2020, 5, 29, tzinfo=UTC),
    datetime(2020, 5, 31, tzinfo=UTC),
    datetime.now(UTC).replace(microsecond=0),
)
ISSUING, CROSS, OLD, NEW = (
    "inter-sectigo-rsa-dv", "cross-usertrust-rsa-by-addtrust", "root-addtrust-external", "root-usertrust-rsa",
)  # fmt: skip
STORES = ((OLD,), (NEW,), (OLD, NEW), (CROSS, OLD, NEW), (CROSS,), (CROSS, NEW), (OLD, CROSS))
SENDS = ((CROSS,), (CROSS, OLD), ())
RULES = ("openssl-3", "curl", "python-3.12")


@dataclass(frozen=True, slots=True)
class Case:
    """The store's certificates, what is sent after the issuing CA, and when."""

    store: Sequence[str]
    sent: Sequence[str]
    at: datetime

    def verdict(self, reader: str) -> bool:
        """Whether the engine says `trusted`."""
        view = pem.read(b"".join(map(shipped.pem, self.store))).views[OPENSSL]
        assert isinstance(view, Loaded)
        sent = [shipped.certificate(name) for name in (ISSUING, *self.sent)]
        outcome = validate(sent[0], sent, Anchors(view.entries), READERS[reader], self.at)
        return outcome.verdict is Verdict.TRUSTED

    def plant(self, folder: Path) -> Planted:
        """The case's files."""
        store, chain = folder / f"{'+'.join(self.store)}.pem", folder / f"sent+{'+'.join(self.sent)}.pem"
        store.write_bytes(b"".join(map(shipped.pem, self.store)))
        chain.write_bytes(b"".join(map(shipped.pem, (ISSUING, *self.sent))))
        return Planted(str(store), str(store), str(chain), "", self.at)


CASES = [Case(store, sent, at) for store in STORES for sent in SENDS for at in TIMES]


def test_what_broke_that_day() -> None:
    before, after = TIMES[1], TIMES[2]

    assert Case((OLD,), (CROSS,), before).verdict("openssl-3")
    assert not Case((OLD,), (CROSS,), after).verdict("openssl-3")
    assert Case((OLD, NEW), (CROSS,), after).verdict("openssl-3")
    assert Case((NEW,), (CROSS,), after).verdict("jsse")
    assert not Case((OLD, CROSS), (CROSS,), after).verdict("openssl-3")


@pytest.mark.needs("openssl", "/usr/bin/python3")
def test_openssl_3_says_the_same(tmp_path: Path) -> None:
    answers = judges.openssl([case.plant(tmp_path) for case in CASES], RULES)

    for reader, said in answers.items():
        assert [case.verdict(reader) for case in CASES] == [not one for one in said], reader


@pytest.mark.slow
@pytest.mark.privileged
def test_openssl_1_1_1_says_the_same(bullseye: Guest, tmp_path: Path) -> None:
    planted = [case.plant(tmp_path) for case in CASES]
    answers = judges.guest_openssl(bullseye, "libcrypto.so.1.1", str(tmp_path), planted, RULES)

    for reader, said in answers.items():
        assert [case.verdict(reader) for case in CASES] == [not one for one in said], reader


@pytest.mark.needs("certtool", "/usr/bin/python3")
def test_gnutls_says_the_same(tmp_path: Path) -> None:
    said = judges.gnutls([case.plant(tmp_path) for case in CASES])

    assert [case.verdict("gnutls") for case in CASES] == [not one for one in said]


@pytest.mark.slow
def test_jvms_say_the_same(jdks: list[Jdk], tmp_path: Path) -> None:
    planted = [case.plant(tmp_path) for case in CASES]
    classes = judges.compiled(next(jdk.javac for jdk in jdks if jdk.javac), tmp_path)

    for jdk in jdks:
        said = judges.java(jdk, classes, planted)
        assert [case.verdict("jsse") for case in CASES] == [not one for one in said], jdk
