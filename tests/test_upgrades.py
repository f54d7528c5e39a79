"""Which release brings a root: the rows against the bundles, the order of versions against dpkg, and the words."""

from __future__ import annotations

import itertools
import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustmend import bundle
from trustmend.upgrades import (
    ABSENT,
    FIRST,
    LABELS,
    SECTIGO_E46,
    SECTIGO_R46,
    USERTRUST_ECC,
    USERTRUST_RSA,
    at_least,
    brought_by,
    first,
    product_of,
    product_of_java,
)

ROOTS = (USERTRUST_RSA, USERTRUST_ECC, SECTIGO_R46, SECTIGO_E46)


def test_every_root_that_a_bundle_installs_has_its_rows() -> None:
    installed = {
        certificate.sha256: certificate.certificate.label
        for one in bundle.load_all()
        for certificate in one.certificates
        if certificate.install and certificate.role == "root"
    }

    assert installed == LABELS
    for product, root in itertools.product(("certifi", "debian", "openjdk"), ROOTS):
        assert (product, root) in FIRST


def test_the_tables_know_no_other_roots_and_do_not_contradict_each_other() -> None:
    assert {root for _, root in (*FIRST, *ABSENT)} == set(LABELS)
    assert not FIRST.keys() & ABSENT.keys()
    for (product, _), versions in FIRST.items():
        assert all(at_least(product, later, earlier) for earlier, later in itertools.pairwise(versions))
        assert not any(at_least(product, earlier, later) for earlier, later in itertools.pairwise(versions))


@pytest.mark.needs("dpkg-query", "/usr/share/ca-certificates/mozilla")
@pytest.mark.parametrize("root", ROOTS)
def test_debians_rows_say_what_this_machines_package_has(root: str) -> None:
    asked = ["dpkg-query", "-W", "-f", "${Version}", "ca-certificates"]
    version = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    files = os.listdir("/usr/share/ca-certificates/mozilla")
    row = first("debian", root)

    assert row is not None
    assert at_least("debian", version, row) is (f"{LABELS[root].replace(' ', '_')}.crt" in files)


@pytest.mark.parametrize(
    ("product", "older", "newer"),
    [
        ("certifi", "2023.5.7", "2023.7.22"),
        ("certifi", "2023.05.07", "2023.7.22"),
        ("certifi", "2022.6.15", "2022.6.15.1"),
        ("certifi", "14.05.14", "2015.4.28"),
        ("certifi", "2022.12.7", "2023.5.7"),
        ("certifi", "2026.10.19", "2026.10.19.post1"),
        ("pip", "9.0.1", "23.0"),
        ("nss", "3.87.1", "3.92"),
        ("fedora", "2023.2.60_v7.0.306-90.1.el9_2", "2023.2.62_v7.0.401-2.fc39"),
        ("openjdk", "1.8.0_452", "1.8.0_462"),
        ("openjdk", "1.8.0_462", "11"),
        ("openjdk", "8u452", "1.8.0_462"),
        ("openjdk", "17.0.9", "17.0.16"),
        ("openjdk", "17.0.15+6-Debian", "17.0.16"),
        ("debian", "20230311", "20230311+deb12u1"),
        ("debian", "20230311ubuntu0.22.04.1", "20230311+deb12u1"),
        ("debian", "20230311+deb12u1", "20240203~20.04.1"),
        ("debian", "20240203~20.04.1", "20240203"),
        ("debian", "20250419~deb12u1~deb11u1", "20250419~deb12u1"),
    ],
)
def test_the_order_of_versions(product: str, older: str, newer: str) -> None:
    assert at_least(product, newer, older)
    assert not at_least(product, older, newer)


@pytest.mark.parametrize(
    ("product", "one", "same"),
    [
        ("certifi", "2023.07.22", "2023.7.22"),
        ("openjdk", "8u462", "1.8.0_462"),
        ("openjdk", "25", "25.0.0+36-LTS"),
        ("fedora", "2023.2.62_v7.0.401-2.fc39", "2023.2.62_v7.0.401"),
        ("debian", "0:20240203", "20240203"),
    ],
)
def test_two_ways_to_write_one_version(product: str, one: str, same: str) -> None:
    assert at_least(product, one, same)
    assert at_least(product, same, one)


VERSIONS = st.from_regex(r"(?:[0-2]:)?[0-9](?:[0-9a-zA-C.+~]|00){0,6}(?:-[0-9a.+~]{1,3})?", fullmatch=True)


@pytest.mark.needs("dpkg")
@given(one=VERSIONS, other=VERSIONS)
def test_debians_order_is_dpkgs(one: str, other: str) -> None:
    said = subprocess.run(["dpkg", "--compare-versions", one, "ge", other], capture_output=True, check=False)

    assert said.returncode in (0, 1)
    assert at_least("debian", one, other) is (said.returncode == 0)


@given(product=st.sampled_from(["certifi", "debian", "openjdk", "no such product"]), installed=st.text(max_size=300))
def test_any_text_is_a_version(product: str, installed: str) -> None:
    words = brought_by(product, installed, LABELS)

    assert words is None or words.isprintable()
    assert at_least(product, installed, installed)


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        (None, "25"),
        ("1.7.0_80", "1.8.0_462"),
        ("8u302", "1.8.0_462"),
        ("11.0.20", "11.0.28"),
        ("17.0.9", "17.0.16"),
        ("17.0.20", "17.0.16"),
        ("18.0.2", "21.0.8"),  # 18 has no such release
        ("24.0.1", "25"),
        ("26", "25"),
        ("unknown", "25"),
    ],
)
def test_java_has_a_first_release_on_every_line(installed: str | None, expected: str) -> None:
    assert first("openjdk", SECTIGO_R46, installed) == expected


def test_what_is_not_known_has_no_first_release() -> None:
    assert first("certifi", "00" * 32) is None
    assert first("no such product", SECTIGO_R46) is None
    assert first("httplib2", SECTIGO_R46) is None


R46, E46, ECC = LABELS[SECTIGO_R46], LABELS[SECTIGO_E46], LABELS[USERTRUST_ECC]


@pytest.mark.parametrize(
    ("product", "installed", "missing", "words"),
    [
        (
            "certifi",
            "2021.10.8",
            [SECTIGO_R46],
            "certifi 2023.7.22 and later bring Sectigo Public Server Authentication Root R46; installed is 2021.10.8",
        ),
        ("certifi", None, [SECTIGO_R46, SECTIGO_E46], f"certifi 2023.7.22 and later bring {R46} and {E46}"),
        (
            "certifi",
            "14.05.14",
            [USERTRUST_RSA, SECTIGO_R46, SECTIGO_R46, SECTIGO_E46],
            f"certifi 2023.7.22 and later bring {LABELS[USERTRUST_RSA]}, {R46} and {E46}; installed is 14.05.14",
        ),
        ("certifi", "1.0", [USERTRUST_ECC], f"certifi 2015.4.28 and later bring {ECC}; installed is 1.0"),
        ("certifi", "2023.07.22", [SECTIGO_R46], None),  # somebody took it out
        (
            "certifi",
            "2018",
            [USERTRUST_RSA, SECTIGO_E46],
            f"certifi 2023.7.22 and later bring {E46}; installed is 2018",
        ),
        ("certifi", "2021.10.8", [], None),
        ("certifi", "2021.10.8", ["00" * 32], None),
        (
            "debian",
            "20211016",
            [SECTIGO_R46],
            f"ca-certificates 20230311+deb12u1 and later bring {R46}; installed is 20211016",
        ),
        ("openjdk", "17.0.15", [SECTIGO_E46], f"OpenJDK 17.0.16 and later bring {E46}; installed is 17.0.15"),
        ("temurin", "17.0.7", [SECTIGO_R46], f"Temurin 17.0.9 and later bring {R46}; installed is 17.0.7"),
        ("temurin", "25.0.1", [SECTIGO_R46], None),
        ("httplib2", "0.22.0", [SECTIGO_R46], f"no httplib2 up to 0.32.1 brings {R46}"),
        ("httplib2", None, [USERTRUST_RSA], f"no httplib2 up to 0.32.1 brings {LABELS[USERTRUST_RSA]}"),
        ("httplib2", "0.33", [SECTIGO_R46], None),  # not looked at
        ("requests", "2.0", [SECTIGO_R46], None),
    ],
)
def test_the_words(product: str, installed: str | None, missing: list[str], words: str | None) -> None:
    assert brought_by(product, installed, missing) == words


def test_a_version_from_a_file_is_made_printable() -> None:
    assert "installed is 1\\x1b[2J" in (brought_by("certifi", "1\x1b[2J", [SECTIGO_R46]) or "")


def test_products_of_packages_and_of_javas() -> None:
    assert product_of("dpkg", "ca-certificates") == "debian"
    assert product_of("pip", "certifi") == "certifi"
    assert product_of("dpkg", "certifi") is None
    assert product_of_java("Eclipse Adoptium") == "temurin"
    assert product_of_java("Oracle Corporation") == "openjdk"
    assert product_of_java("Debian") is None
    assert product_of_java(None) is None
