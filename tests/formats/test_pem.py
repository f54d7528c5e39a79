"""PEM bundles: every certificate is found, and OpenSSL's view equals what OpenSSL itself loads."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipped import certificate, pem
from trustmend.certificate import SERVER_AUTH
from trustmend.formats import pem as pem_format
from trustmend.model import OPENSSL, EntryKind, Kind, Loaded, Refused

ONE = pem("root-usertrust-rsa")
TWO = pem("root-aaa")
THREE = pem("inter-sectigo-rsa-ov")


def names(content: bytes) -> list[str]:
    return [e.certificate.label for e in pem_format.read(content).entries]


def loaded_by_openssl(content: bytes, folder: Path) -> int | None:
    """How many different certificates this Python's OpenSSL takes from the file; None where it refuses it."""
    file = folder / "store.pem"
    file.write_bytes(content)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cafile=str(file))
    except ssl.SSLError:
        return None
    return context.cert_store_stats()["x509"]


def our_view(content: bytes) -> int | None:
    view = pem_format.read(content).views[OPENSSL]
    return None if isinstance(view, Refused) else len({e.certificate.sha256 for e in view.entries})


FORMS = {
    "plain": (ONE + TWO + THREE, 3),
    "crlf": ((ONE + TWO + THREE).replace(b"\n", b"\r\n"), 3),
    "text between, not UTF-8": (b"# caf\xe9 \xff\n" + ONE + b"\n\nsubject: \xe9\n" + TWO + THREE, 3),
    "byte order mark at the start": (b"\xef\xbb\xbf" + ONE + TWO, 2),
    "byte order mark before a later block": (ONE + b"\xef\xbb\xbf" + TWO, 2),
    "CR only": ((ONE + TWO).replace(b"\n", b"\r"), 2),
    "last block cut": (ONE + TWO + THREE[:900], 2),
    "END and BEGIN on one line": (ONE.rstrip(b"\n") + TWO + THREE, 3),
    "one garbage block in the middle": (
        ONE + b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n" + TWO,
        2,
    ),
    "one block of bad DER": (ONE + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + TWO, 2),
    "one END line lost": (ONE + TWO.replace(b"-----END CERTIFICATE-----\n", b"") + THREE, 3),
    "duplicate": (ONE + TWO + ONE, 3),
    "indented": (b"".join(b"  " + line + b"\n" for line in (ONE + TWO).splitlines()), 2),
    "trailing blanks": (ONE.replace(b"\n", b"  \t\n") + TWO, 2),
    "X509 CERTIFICATE": (ONE.replace(b"CERTIFICATE", b"X509 CERTIFICATE") + TWO, 2),
    "no line end at the end": (ONE + TWO.rstrip(b"\n"), 2),
    "NUL between": (ONE + b"\0" * 4096 + b"\n" + TWO, 2),
    "NUL at a line's start": (ONE + b"\0rest\n" + TWO, 2),
    "an unknown block": (ONE + b"-----BEGIN FOO BAR-----\nAAAA\n-----END FOO BAR-----\n" + TWO, 2),
    "an empty line inside": (ONE.replace(b"MII", b"\nMII", 1) + TWO, 2),
    "a header inside": (ONE.replace(b"MII", b"Proc-Type: 4,CLEAR\n\nMII", 1) + TWO, 2),
    "one long line": (
        b"-----BEGIN CERTIFICATE-----\n" + b"".join(ONE.splitlines()[1:-1]) + b"\n-----END CERTIFICATE-----\n",
        1,
    ),
    "empty": (b"", 0),
    "text only": (b"hello\n", 0),
    "an HTML error page": (b"<html>404 Not Found</html>\n", 0),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_certificate_is_found_whatever_the_form(form: str) -> None:
    content, count = FORMS[form]

    assert len(pem_format.read(content).entries) == count


@pytest.mark.parametrize("form", FORMS)
def test_openssl_view_is_what_openssl_loads(form: str, tmp_path: Path) -> None:
    content, _ = FORMS[form]

    assert our_view(content) == loaded_by_openssl(content, tmp_path)


FRAGMENTS = [
    b"\n", b"\r\n", b"\r", b" ", b"\t", b"-", b"=", b"\0", b"\xef\xbb\xbf", b":", b"\n\n", b"Bag: x\n", b"x", b"\xff",
    b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n", b"-----BEGIN TRUSTED CERTIFICATE-----\n",
    b"-----END CERTIFICATE----- \n", b"a" * 300, b"-----BEGIN FOO-----\nAA\n-----END FOO-----\n",
]  # fmt: skip


@given(
    crlf=st.booleans(),
    edits=st.lists(
        st.tuples(st.integers(0, 300), st.integers(-1, 1), st.sampled_from(["insert", "delete", "replace"]),
                  st.sampled_from(FRAGMENTS), st.integers(1, 70)),
        min_size=1, max_size=2,
    ),
)  # fmt: skip
def test_damage_at_a_line_is_judged_as_openssl_judges_it(
    tmp_path_factory: pytest.TempPathFactory, *, crlf: bool, edits: list[tuple[int, int, str, bytes, int]]
) -> None:
    """Edits beside line ends: there the form of PEM is decided. (Inside a line they would make another certificate.)"""
    content = bytearray(ONE + b"# text\n" + TWO + THREE)
    for line, shift, act, fragment, length in edits:
        ends = [i for i, octet in enumerate(content) if octet == 10]
        at = max(ends[line % len(ends)] + shift, 0) if ends else 0
        if act == "insert":
            content[at:at] = fragment
        elif act == "delete":
            del content[at : at + length]
        else:
            content[at : at + 1] = fragment
    text = bytes(content).replace(b"\n", b"\r\n") if crlf else bytes(content)
    expected = loaded_by_openssl(text, tmp_path_factory.getbasetemp())

    # Where the bytes of a certificate themselves were hit, OpenSSL may know more of its inner form than we do.
    found = pem_format.read(text).entries
    hit = {certificate(n) for n in ("root-usertrust-rsa", "root-aaa", "inter-sectigo-rsa-ov")}
    if all(e.certificate in hit for e in found):
        assert our_view(text) == expected


@given(st.binary(max_size=2000))
def test_any_bytes_are_read_without_a_crash(content: bytes) -> None:
    assert pem_format.read(b"-----BEGIN CERTIFICATE-----\n" + content).kind is Kind.PEM_BUNDLE
    assert pem_format.read(content).kind is Kind.PEM_BUNDLE


def test_one_damaged_block_is_a_finding_with_its_byte_and_openssl_refuses_the_file() -> None:
    content = ONE + b"-----BEGIN CERTIFICATE-----\n####\n-----END CERTIFICATE-----\n" + TWO

    read = pem_format.read(content)

    assert [f.code for f in read.findings] == ["bad-entry"]
    assert f"byte {len(ONE)}" in read.findings[0].message
    view = read.views[OPENSSL]
    assert isinstance(view, Refused)
    assert view.offset == len(ONE)


def test_entries_carry_position_and_byte() -> None:
    entries = pem_format.read(b"# comment\n" + ONE + TWO).entries

    assert [(e.position, e.offset) for e in entries] == [(0, 10), (1, 10 + len(ONE))]


@pytest.mark.needs("openssl")
def test_trusted_certificate_blocks_keep_their_trust_and_reject_lists(tmp_path: Path) -> None:
    file = tmp_path / "root.pem"
    file.write_bytes(ONE)
    rejecting = [
        "openssl",
        "x509",
        "-in",
        str(file),
        "-addreject",
        "serverAuth",
        "-addtrust",
        "emailProtection",
        "-trustout",
    ]
    block = subprocess.run(rejecting, capture_output=True, check=True).stdout

    (entry,) = pem_format.read(block).entries

    assert entry.reject == frozenset({SERVER_AUTH})
    assert entry.trust == frozenset({"1.3.6.1.5.5.7.3.4"})
    assert entry.certificate == certificate("root-usertrust-rsa")


@pytest.mark.needs("openssl")
def test_pkcs7_blocks_are_listed_but_openssl_skips_them(tmp_path: Path) -> None:
    file = tmp_path / "two.pem"
    file.write_bytes(ONE + TWO)
    pack = ["openssl", "crl2pkcs7", "-nocrl", "-certfile", str(file)]
    block = subprocess.run(pack, capture_output=True, check=True).stdout

    read = pem_format.read(block + THREE)

    assert len(read.entries) == 3
    assert [e.kind for e in read.entries].count(EntryKind.PLAIN) == 2
    view = read.views[OPENSSL]
    assert isinstance(view, Loaded)
    assert len(view.entries) == 1
    assert "pkcs7-block" in {f.code for f in read.findings}


@pytest.mark.needs("openssl")
def test_a_private_key_is_noted_and_never_shown(tmp_path: Path) -> None:
    make = ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    key = subprocess.run(make, capture_output=True, check=True).stdout

    read = pem_format.read(key + ONE)

    assert read.private_keys == 1
    assert len(read.entries) == 1
    shown = repr(read)
    assert not any(line.decode() in shown for line in key.splitlines()[1:-1])
