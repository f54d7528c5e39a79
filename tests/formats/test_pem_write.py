"""Writing PEM bundles: old bytes stay, a root goes before its namesakes, and what was added can be taken out again."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import certificates
from trustmend.certificate import Certificate
from trustmend.formats import pem, pem_write
from trustmend.model import Loaded

OLD = certificates.root("Old Root")
NEW = certificates.root("New Root")
CROSS = certificates.cross(NEW, OLD)
ISSUING = certificates.intermediate(NEW, "Issuing CA")
STRANGER = certificates.root("Größe\n-----BEGIN CERTIFICATE-----\x1b[2J")
ALL = (OLD, NEW, CROSS, ISSUING, STRANGER)

texts = st.sampled_from(
    [b"", b"\n", b"# a comment\n", "# Größe\r\n".encode("latin-1"), b"no line end", b"\xef\xbb\xbf", b"\0\n"]
)
blocks = st.sampled_from(
    [certificates.bundle_pem(one) for one in ALL] + [certificates.bundle_pem(OLD).replace(b"\n", b"\r\n")]
)
contents = st.lists(st.one_of(texts, blocks), max_size=6).map(b"".join)
additions = st.lists(st.sampled_from([one.certificate for one in ALL]), max_size=4)


def held(content: bytes) -> list[str]:
    return [entry.certificate.sha256 for entry in pem.read(content).entries]


def is_subsequence(old: bytes, new: bytes) -> bool:
    rest = iter(new)
    return all(byte in rest for byte in old)


@given(contents, additions)
def test_old_bytes_stay_and_all_certificates_are_there(content: bytes, wanted: list[Certificate]) -> None:
    after = pem_write.add(content, wanted, "change")

    assert is_subsequence(content, after)
    before = held(content)
    new = [one.sha256 for one in dict.fromkeys(wanted) if one.sha256 not in before]
    if isinstance(pem.as_openssl(content), Loaded) or not before:
        assert sorted(held(after)) == sorted([*before, *new])


@given(contents, additions)
def test_adding_twice_is_adding_once(content: bytes, wanted: list[Certificate]) -> None:
    once = pem_write.add(content, wanted, "first")

    if set(held(once)) >= {one.sha256 for one in wanted}:
        assert pem_write.add(once, wanted, "second") == once


@given(contents, additions)
def test_what_was_added_is_taken_out_again(content: bytes, wanted: list[Certificate]) -> None:
    after = pem_write.add(content, wanted, "change")

    back = pem_write.remove(after, "change")
    assert back in (content, content + b"\n")
    assert pem_write.remove(after, "another") == after


@given(st.binary(max_size=400))
def test_any_bytes_keep_their_order(content: bytes) -> None:
    after = pem_write.add(content, [NEW.certificate], "change")

    assert is_subsequence(content, after)
    assert pem_write.remove(after, "change") in (content, content + b"\n")


def test_a_root_goes_before_the_first_certificate_of_its_name_and_above_that_ones_comments() -> None:
    cross = b"# Issuer: Old Root\n# Label: the cross-sign\n" + certificates.bundle_pem(CROSS)
    content = certificates.bundle_pem(OLD) + b"\n" + cross

    after = pem_write.add(content, [NEW.certificate, ISSUING.certificate], "change")

    assert held(after) == [one.sha256 for one in (OLD, NEW, CROSS, ISSUING)]
    assert cross in after


def test_a_byte_order_mark_stays_the_first_thing() -> None:
    content = b"\xef\xbb\xbf" + certificates.bundle_pem(CROSS)

    after = pem_write.add(content, [NEW.certificate], "change")

    assert after.startswith(b"\xef\xbb\xbf# trustmend change ")
    assert held(after) == [NEW.sha256, CROSS.sha256]


def test_a_certificate_that_others_count_on_stays() -> None:
    after = pem_write.add(b"", [NEW.certificate, OLD.certificate], "change")

    left = pem_write.remove(after, "change", keep={OLD.sha256})

    assert held(left) == [OLD.sha256]


def test_the_marker_is_one_line_of_plain_ascii_whatever_the_name() -> None:
    line = pem_write.marker("change", STRANGER.certificate)

    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert line.isascii()
    assert b"BEGIN" not in line.partition(STRANGER.sha256.encode())[2].replace(b"?BEGIN CERTIFICATE?", b"")


def test_a_block_whose_marker_was_taken_away_stays() -> None:
    after = pem_write.add(b"", [NEW.certificate], "change")
    without = after.partition(b"\n")[2]

    assert pem_write.remove(without, "change") == without


@pytest.mark.needs("openssl")
def test_openssl_takes_the_root_that_was_put_before_its_cross_sign(tmp_path: Path, openssl: str) -> None:
    leaf = certificates.leaf(ISSUING)
    (tmp_path / "leaf.pem").write_bytes(certificates.bundle_pem(leaf))
    (tmp_path / "sent.pem").write_bytes(certificates.bundle_pem(ISSUING))
    store = tmp_path / "ca.pem"

    def verified(content: bytes) -> bool:
        store.write_bytes(content)
        done = subprocess.run(
            [openssl, "verify", "-no-CApath", "-no-CAstore", "-CAfile", store, "-untrusted", tmp_path / "sent.pem",
             tmp_path / "leaf.pem"], capture_output=True, check=False,
        )  # fmt: skip
        return done.returncode == 0

    content = certificates.bundle_pem(CROSS)
    assert not verified(content + certificates.bundle_pem(NEW))
    assert verified(pem_write.add(content, [NEW.certificate], "change"))
