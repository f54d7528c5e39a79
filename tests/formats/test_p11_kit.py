"""p11-kit's source folders, and what its own `trust list` makes of them."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

import certificates
from certificates import Made
from trustmend.certificate import SERVER_AUTH
from trustmend.formats import p11_kit, registry
from trustmend.formats.p11_kit import File, Place
from trustmend.host import Host
from trustmend.model import NSS, EntryKind, Kind, Loaded, Role
from trustmend.places import p11_kit as places
from trustmend.stores import Reading, read_stores

EMAIL = "1.3.6.1.5.5.7.3.4"
EXTENDED_KEY_USAGE = "2.5.29.37"
NEEDS = pytest.mark.needs("trust", "setpriv", "openssl")
ONE, TWO, THREE = (certificates.root(f"Root {word}") for word in ("One", "Two", "Three"))
ISSUING = certificates.intermediate(ONE, "Issuing")
CROSS = certificates.cross(TWO, ONE)
MAIL_ONLY = certificates.root("Mail Only", purposes=(EMAIL,))
LEAF = certificates.leaf(ISSUING, "localhost")


def persisted(made: Made, *lines: str) -> bytes:
    """An object of the persistence format."""
    return "\n".join(["[p11-kit-object-v1]", f'label: "{made.spec.key}"', *lines, ""]).encode() + made.pem + b"\n"


def attached(made: Made, *purposes: str) -> bytes:
    """An extendedKeyUsage that is attached to a certificate by its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    usage = x509.ExtendedKeyUsage([x509.ObjectIdentifier(one) for one in purposes]).public_bytes()
    value = sequence(b"\x06\x03\x55\x1d\x25" + b"\x04" + bytes([len(usage)]) + usage)
    key = made.private_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    head = f'[p11-kit-object-v1]\nclass: x-certificate-extension\nobject-id: {EXTENDED_KEY_USAGE}\nvalue: "'
    return head.encode() + quote_from_bytes(value).encode() + b'"\n' + key + b"\n"


def sequence(content: bytes) -> bytes:
    return b"\x30" + bytes([len(content)]) + content


def numbered(made: Made) -> bytes:
    """A bar by issuer and serial number alone."""
    serial = made.certificate.serial
    encoded = serial.to_bytes(serial.bit_length() // 8 + 1, "big", signed=True)
    rows = {"issuer": made.certificate.issuer, "serial-number": b"\x02" + bytes([len(encoded)]) + encoded}
    lines = [f'{name}: "{quote_from_bytes(value)}"' for name, value in rows.items()]
    return "\n".join(
        ["[p11-kit-object-v1]", "class: certificate", "certificate-type: x-509", "x-distrusted: true", *lines, ""]
    ).encode()


def aux(made: Made, *options: str) -> bytes:
    """A TRUSTED CERTIFICATE block, by openssl."""
    command = ["openssl", "x509", "-trustout", *options]
    return subprocess.run(command, input=made.pem, capture_output=True, check=True).stdout


CASES: dict[str, Callable[[], Mapping[str, bytes]]] = {
    "nothing": dict,
    "an anchor of each folder": lambda: {"etc/anchors/1.pem": ONE.pem, "usr/anchors/2.crt": TWO.der},
    "beside the folders": lambda: {"usr/1.pem": ONE.pem, "usr/2.p11-kit": persisted(TWO, "trusted: true")},
    "the same, barred": lambda: {"usr/2.p11-kit": persisted(TWO, "trusted: true", "x-distrusted: true")},
    "an anchor that says it is none": lambda: {"usr/anchors/1.p11-kit": persisted(ONE, "x-distrusted: true")},
    "one said to be not trusted": lambda: {"usr/anchors/1.p11-kit": persisted(ONE, "trusted: false")},
    "blocklist of the other folder": lambda: {
        "etc/blocklist/1.pem": ONE.pem,
        "usr/anchors/1.pem": ONE.pem,
        "usr/anchors/2.pem": TWO.pem,
    },
    "blacklist, which older versions read": lambda: {"usr/blacklist/1.pem": ONE.pem, "usr/anchors/1.pem": ONE.pem},
    "a bar on the key bars a cross-sign": lambda: {"etc/blocklist/2.pem": TWO.pem, "usr/anchors/x.pem": CROSS.pem},
    "a bar by number": lambda: {"etc/n.p11-kit": numbered(ONE), "usr/anchors/1.pem": ONE.pem + TWO.pem},
    "no CA, and an intermediate": lambda: {"usr/anchors/x.pem": LEAF.pem + ISSUING.pem},
    "for mail only": lambda: {"usr/anchors/m.pem": MAIL_ONLY.pem, "usr/anchors/1.pem": ONE.pem},
    "attached purposes": lambda: {
        "usr/x.p11-kit": persisted(ONE, "trusted: true")
        + attached(ONE, EMAIL)
        + persisted(TWO, "trusted: true")
        + attached(TWO, SERVER_AUTH, EMAIL)
    },
    "trusted by OpenSSL's block": lambda: {
        "usr/1.pem": aux(ONE, "-addtrust", "serverAuth"),
        "usr/2.pem": aux(TWO, "-addtrust", "emailProtection"),
        "usr/3.pem": aux(THREE, "-addreject", "serverAuth"),
    },
    "rejected by OpenSSL's block, and an anchor": lambda: {
        "usr/anchors/1.pem": aux(ONE, "-addreject", "serverAuth"),
        "usr/anchors/2.pem": aux(TWO, "-addtrust", "serverAuth", "-addreject", "serverAuth"),
    },
    "folders below, links and strange files": lambda: {
        "usr/anchors/below/1.pem": ONE.pem,
        "usr/anchors/readme": b"no certificate\n",
        "usr/anchors/2.pem": TWO.pem,
    },
    "comments and unknown sections": lambda: {
        "usr/x.p11-kit": b"# a comment\n[p11-kit-object-v1]\nclass: nss-builtin-root-list\nlabel: \"Roots\"\n\n"
        + persisted(ONE, "trusted: true", 'nss-server-distrust-after: "241130235959Z"')
    },
}  # fmt: skip


FOLDERS = {"etc": "etc/pki/ca-trust/source", "usr": "usr/share/pki/ca-trust-source"}


def ours(folder: Path) -> set[str]:
    """The anchors for TLS servers that we read."""
    host = Host(str(folder))
    (location,) = places.locations(host, {})
    (store,) = read_stores(host, [location], Reading())
    assert (store.role, store.content.kind) == (Role.PUBLIC, Kind.P11_KIT)
    assert store.source == "/etc/pki/ca-trust/source/anchors"
    view = store.content.views[NSS]
    assert isinstance(view, Loaded)
    return {entry.certificate.label for entry in view.entries if not entry.reject}


def theirs(folder: Path) -> set[str]:
    """The same by `trust list`, which reads the folders that its user's configuration names."""
    modules = folder / "config" / "pkcs11" / "modules"
    modules.mkdir(parents=True)
    text = Path("/usr/share/p11-kit/modules/p11-kit-trust.module").read_text("utf-8")
    text = re.sub(r"^x-init-reserved:.*$", "", text, flags=re.MULTILINE)
    paths = ":".join(str(folder / inner) for inner in FOLDERS.values())
    (modules / "p11-kit-trust.module").write_text(f"{text}\nx-init-reserved: paths='{paths}'\n", "utf-8")
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    done = subprocess.run(  # root's own configuration would be the system's
        [*user, "trust", "list", "--filter=ca-anchors", "--purpose=server-auth"],
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config")},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return set(re.findall(r"^ +label: (.*)$", done.stdout, re.MULTILINE))


@NEEDS
@pytest.mark.parametrize("name", CASES)
def test_it_is_what_trust_lists(open_path: Path, name: str) -> None:
    for top in FOLDERS.values():
        for sub in ("anchors", "blocklist"):
            (open_path / top / sub).mkdir(parents=True)
    for path, content in CASES[name]().items():
        top, _, inner = path.partition("/")
        file = open_path / FOLDERS[top] / inner
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)

    assert ours(open_path) == theirs(open_path)


def test_bars_stand_in_the_view_and_plain_certificates_do_not() -> None:
    content = p11_kit.join(
        [File("a", Place.ANCHORS, ONE.pem), File("b", Place.BLOCKLIST, TWO.pem), File("c", Place.BESIDE, THREE.pem)]
    )

    kinds = {e.certificate.sha256: (e.kind, bool(e.reject), e.file) for e in content.entries}
    assert kinds == {
        ONE.sha256: (EntryKind.CERTIFICATE, False, "a"),
        TWO.sha256: (EntryKind.CERTIFICATE, True, "b"),
        THREE.sha256: (EntryKind.PLAIN, False, "c"),
    }
    view = content.views[NSS]
    assert isinstance(view, Loaded)
    assert {entry.certificate.sha256 for entry in view.entries} == {ONE.sha256, TWO.sha256}


@pytest.mark.needs("trust")
def test_what_trust_dumps_is_read(tmp_path: Path) -> None:
    done = subprocess.run(["trust", "dump", "--filter=ca-anchors"], capture_output=True, check=True)

    content = registry.read(done.stdout, Kind.P11_KIT, None)

    assert registry.recognise(done.stdout) is Kind.P11_KIT
    listed = subprocess.run(["trust", "list", "--filter=ca-anchors"], capture_output=True, check=True, text=True)
    assert len(content.entries) == len(re.findall(r"^pkcs11:", listed.stdout, re.M)) > 10
    assert content.findings == ()
    assert all(entry.kind is EntryKind.CERTIFICATE for entry in content.entries)


def test_mozillas_date_is_told() -> None:
    dated = persisted(ONE, "trusted: true", 'nss-server-distrust-after: "%32%34113023%35959Z"')
    never = persisted(TWO, "trusted: true", 'nss-server-distrust-after: "%00"')

    found = p11_kit.read(dated + never).findings

    assert [(one.code, one.certificate) for one in found] == [("distrust-after", ONE.sha256)]
    assert "2024-11-30" in found[0].message


PIECES = st.sampled_from(
    [
        b"[p11-kit-object-v1]\n",
        b"[other]\n",
        b"trusted: true\n",
        b'value: "%30%03%06%00"\n',
        b"class: x-certificate-extension\n",
        b"object-id: 2.5.29.37\n",
        b'public-key-info: "%30%00"\n',
        b"x-distrusted: true\n",
        b'serial-number: "%02"\n',
        b'issuer: "x"\n',
        b'nss-server-distrust-after: "9"\n',
        b"-----BEGIN CERTIFICATE-----\n",
        b"-----END CERTIFICATE-----\n",
        b"AAAA\n",
        ONE.pem,
    ]
)


@given(st.lists(st.one_of(PIECES, st.binary(max_size=20)), max_size=20), st.sampled_from(list(Place)))
def test_nothing_raises(pieces: list[bytes], place: Place) -> None:
    content = p11_kit.join([File("x", place, b"[p11-kit-object-v1]\n" + b"".join(pieces))])

    assert content.kind is Kind.P11_KIT
