"""Single certificates in DER, and what the readers of other forms make of such a file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import certificates
import shipped
from trustmend.formats import der_certificate, registry
from trustmend.model import JAVA_OPEN, OPENSSL, Kind, Refused

DER = shipped.certificate("root-usertrust-rsa").der


def test_a_certificate_is_known_by_its_first_bytes() -> None:
    content = der_certificate.read(DER)

    assert registry.recognise(DER) is Kind.DER
    assert [e.certificate.der for e in content.entries] == [DER]
    assert isinstance(content.views[OPENSSL], Refused)
    assert isinstance(content.views[JAVA_OPEN], Refused)


@pytest.mark.parametrize("version", [1, 3])
def test_versions(version: int) -> None:
    made = certificates.root("Old", version=version)

    assert registry.recognise(made.der) is Kind.DER
    assert der_certificate.read(made.der).entries[0].certificate.version == version


@given(st.integers(0, len(DER)), st.binary(max_size=20))
def test_damage_never_raises(end: int, tail: bytes) -> None:
    content = der_certificate.read(DER[:end] + tail)

    read = b"".join(entry.certificate.der for entry in content.entries)
    assert (DER[:end] + tail).startswith(read)
    assert bool(content.findings) == (len(read) < end + len(tail))
