"""Certificates as we read them, against the cryptography package and openssl; damage of any kind is one error."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from hypothesis import given
from hypothesis import strategies as st

import certificates
import shipped
from trustmend.certificate import Certificate, canonical_name, name_hash, name_label, name_text, printable
from trustmend.errors import MalformedError
from trustmend.signatures import signed_by

SHIPPED = sorted({path.stem for path in (shipped.ROOT / "bundles").glob("*/*.pem")})
PROPERTIES = (
    "serial",
    "signature_oid",
    "extensions",
    "basic_constraints",
    "key_usage",
    "extended_key_usage",
    "subject_key_id",
    "authority_key_id",
    "self_issued",
    "self_signed",
    "is_ca",
    "key_algorithm",
    "rsa_bits",
    "label",
    "pem",
)


@pytest.mark.parametrize("name", SHIPPED)
def test_all_parts_are_as_the_cryptography_package_reads_them(name: str) -> None:
    ours = shipped.certificate(name)
    theirs = x509.load_der_x509_certificate(ours.der)

    assert ours.sha256 == theirs.fingerprint(hashes.SHA256()).hex()
    assert (ours.subject, ours.issuer) == (theirs.subject.public_bytes(), theirs.issuer.public_bytes())
    assert (ours.not_before, ours.not_after) == (theirs.not_valid_before_utc, theirs.not_valid_after_utc)
    assert ours.serial == theirs.serial_number
    assert ours.signature_oid == theirs.signature_algorithm_oid.dotted_string
    constraints = theirs.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert ours.basic_constraints == (constraints.ca, constraints.path_length)
    key_id = theirs.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert ours.subject_key_id == key_id
    assert {e.oid.dotted_string for e in theirs.extensions} == set(ours.extensions)
    assert ours.is_ca
    assert ours.label == theirs.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value


@pytest.mark.needs("openssl")
@pytest.mark.parametrize(
    "made",
    [
        *(
            certificates.root(certificates.name("  Größe  of \t ALL ", form=form))
            for form in ("utf-8", "latin-1", "bmp")
        ),
        certificates.root(certificates.name("Plain", form="printable")),
        certificates.root(certificates.name("ca@example.org", form="ia5")),
    ],
    ids=["utf-8", "latin-1", "bmp", "printable", "ia5"],
)
def test_link_names_are_openssls(made: certificates.Made) -> None:
    command = ["openssl", "x509", "-noout", "-subject_hash"]
    said = subprocess.run(command, input=made.pem, capture_output=True, check=True).stdout.decode().strip()

    assert name_hash(made.certificate) == said


KEYS = {
    "rsa, PKCS#1": "-newkey rsa:2048 -sha384",
    "rsa, SHA-1": "-newkey rsa:2048 -sha1",
    "rsa, PSS": "-newkey rsa:2048 -sha512 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32",
    "rsa-pss": "-newkey rsa-pss",
    "P-521": "-newkey ec -pkeyopt ec_paramgen_curve:P-521 -sha512",
    "brainpool": "-newkey ec -pkeyopt ec_paramgen_curve:brainpoolP256r1",
    "Ed25519": "-newkey ed25519",
    "Ed448": "-newkey ed448",
}


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("kind", KEYS)
def test_signatures_of_every_kind(kind: str) -> None:
    command = ["openssl", "req", "-x509", "-nodes", "-subj", "/CN=x", "-keyout", "/dev/null", *KEYS[kind].split()]
    made = subprocess.run(command, capture_output=True, check=True).stdout
    certificate = shipped.of_pem(made)
    other = Certificate.of(certificate.der[:-1] + bytes([certificate.der[-1] ^ 1]))

    assert signed_by(certificate, certificate)
    assert not signed_by(other, certificate)
    assert not signed_by(certificate, certificates.root().certificate)


def test_equal_bytes_are_one_certificate() -> None:
    made = certificates.root()

    assert Certificate.of(made.der) is made.certificate
    assert Certificate(made.der) == made.certificate
    assert hash(Certificate(made.der)) == hash(made.certificate)


def test_a_date_that_no_calendar_has_is_never_valid() -> None:
    der = certificates.root().der
    broken = der.replace(b"400101000000Z", b"401301000000Z")
    assert broken != der

    certificate = Certificate.of(broken)

    assert certificate.not_before > datetime.now(UTC)


def read_all(data: bytes) -> None:
    """Read everything there is; nothing but MalformedError may come out."""
    try:
        certificate = Certificate(data)
        for name in (certificate.subject, certificate.issuer):
            assert name_label(name).isprintable()
            assert name_text(name).isprintable()
            assert canonical_name(name) is not None
    except MalformedError:
        return
    for part in PROPERTIES:
        try:
            getattr(certificate, part)
        except MalformedError:
            continue
    assert signed_by(certificate, certificate) in (True, False)


DER = shipped.certificate("cross-usertrust-rsa-by-aaa").der


@given(
    changes=st.lists(st.tuples(st.integers(0, len(DER) - 1), st.integers(0, 255)), max_size=4),
    end=st.one_of(st.just(len(DER)), st.integers(0, len(DER))),
)
def test_damage_is_one_error(changes: list[tuple[int, int]], end: int) -> None:
    broken = bytearray(DER)
    for place, value in changes:
        broken[place] = value

    read_all(bytes(broken[:end]))


@given(st.data())
def test_elements_of_other_forms_are_one_error(data: st.DataObject) -> None:
    """One element is replaced by another, with all lengths around it right: what random bytes never reach."""
    elements = list(_elements(DER, 0, len(DER), ()))
    _, (start, end), around = data.draw(st.sampled_from(elements))
    new = data.draw(
        st.sampled_from([b"", b"\x30\x00", b"\x05\x00", b"\x02\x00", b"\x06\x00", b"\x04\x00", b"\xa0\x00"])
    )

    read_all(_replaced(DER, start, end, new, around))


Span = tuple[int, int]


def _elements(data: bytes, start: int, end: int, around: tuple[Span, ...]) -> list[tuple[int, Span, tuple[Span, ...]]]:
    """(tag, span, the spans of those around it, outermost first) of every element in `data[start:end]`."""
    found = []
    while start < end:
        body, stop = _header(data, start)
        found.append((data[start], (start, stop), around))
        if data[start] & 0x20:
            found += _elements(data, body, stop, (*around, (start, stop)))
        start = stop
    return found


def _header(data: bytes, start: int) -> Span:
    length, body = data[start + 1], start + 2
    if length & 0x80:
        octets = length & 0x7F
        length, body = int.from_bytes(data[body : body + octets], "big"), body + octets
    return body, body + length


def _replaced(data: bytes, start: int, end: int, new: bytes, around: tuple[Span, ...]) -> bytes:
    if not around:
        return data[:start] + new + data[end:]
    *outer, (above, stop) = around
    body, _ = _header(data, above)
    inner = certificates.element(data[above], data[body:start] + new + data[end:stop])
    return _replaced(data, above, stop, inner, tuple(outer))


@given(st.text())
def test_what_is_printed_is_printable(text: str) -> None:
    assert printable(text).isprintable()


def test_bytes_that_are_no_text_are_shown() -> None:
    assert printable("caf\udce9 \x1b[31m") == "caf\\xe9 \\x1b[31m"
