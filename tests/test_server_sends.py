"""Judging for exactly what one server sends, beside what `openssl verify` makes of the same."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

import shipped
from command import trustmend
from readers.ask import Question, openssl_verify

OV, R46, E46 = "inter-sectigo-ps-ov-r36", "root-sectigo-r46", "root-sectigo-e46"
CROSS, USERTRUST, AAA, CROSSED = (
    "cross-sectigo-r46-by-usertrust-rsa",
    "root-usertrust-rsa",
    "root-aaa",
    "cross-usertrust-rsa-by-aaa",
)
LEAF = (shipped.LEAVES / "leaf-sectigo-ps-ov-r36-icann.pem").read_bytes()
AT = "2026-06-01"
SENT = {
    "all": [OV],
    "leaf alone": [],
    "a cross-sign": [OV, CROSS],
    "two cross-signs": [OV, CROSS, CROSSED],
    "the root, too": [OV, R46],
    "the wrong issuing CA": ["inter-sectigo-ps-dv-r36"],
    "in the wrong order": [CROSSED, CROSS, OV],
}
STORES = {
    "root": [R46],
    "issuing": [OV],
    "both": [R46, OV],
    "old root": [USERTRUST],
    "oldest root": [AAA],
    "cross-sign": [CROSS],
    "another": [E46],
}


def joined(names: list[str]) -> bytes:
    return b"".join(shipped.pem(name) for name in names)


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("sent", SENT)
def test_as_openssl_says(sent: str, tmp_path: Path) -> None:
    presented = tmp_path / "sent.pem"
    presented.write_bytes(LEAF + joined(SENT[sent]))
    for name, held in STORES.items():
        (tmp_path / f"{name}.pem").write_bytes(joined(held))
    stores = [tmp_path / f"{name}.pem" for name in STORES]
    told = trustmend("audit", "--json", "--at", AT, "--bundle", "all", "--server-sends", presented, *stores)

    for store in stores:
        row = told.store(store)
        asked = openssl_verify(Question(str(store), str(presented), ""), "-attime", "1780272000", "-auth_level", "1")
        assert (row["verdict"] == "trusted") == (not asked), (store.name, row["chains"][0]["reason"], asked)
        assert {chain["chain"] for chain in row["chains"]} == {"sectigo-ov-r36"}


def test_it_is_never_conditional_for_nothing_else_is_sent(tmp_path: Path) -> None:
    presented, store = tmp_path / "sent.pem", tmp_path / "old.pem"
    presented.write_bytes(LEAF + shipped.pem(OV))
    store.write_bytes(shipped.pem(AAA))
    words = ["audit", "--json", "--at", AT, "--bundle", "sectigo-2025", store]

    (usual,) = {c["verdict"] for c in trustmend(*words).store(store)["chains"] if c["chain"] == "sectigo-ov-r36"}
    (exact,) = {c["verdict"] for c in trustmend(*words, "--server-sends", presented).store(store)["chains"]}

    assert (usual, exact) == ("conditional", "untrusted")


def test_what_belongs_to_no_chain_is_a_usage_error(tmp_path: Path) -> None:
    other, words, absent = tmp_path / "other.pem", tmp_path / "words.pem", tmp_path / "absent.pem"
    other.write_bytes(shipped.pem("root-aaa"))
    words.write_text("no certificate\n")
    told = {path.name: trustmend("audit", "--server-sends", path, other) for path in (other, words, absent)}

    assert {name: one.code for name, one in told.items()} == {"other.pem": 2, "words.pem": 2, "absent.pem": 4}
    assert "belongs to no chain of sectigo-2019: AAA Certificate Services" in told["other.pem"].err
    assert "there is no certificate in" in told["words.pem"].err
    for one, two in itertools.pairwise(told.values()):
        assert one.err != two.err
