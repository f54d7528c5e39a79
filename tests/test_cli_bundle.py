"""The bundle commands as a user starts them."""

from __future__ import annotations

from pathlib import Path

import pytest

import certificates
import shipped
from command import trustmend

ROOT = certificates.root("Acme Root")


def words(text: str) -> str:
    return " ".join(text.split())


def test_list() -> None:
    told = trustmend("bundle", "list")

    assert told.code == 0
    assert "sectigo-2019 (built-in, the default)" in told.out
    assert "sectigo-2025 (built-in)" in told.out
    assert [one["name"] for one in trustmend("bundle", "list", "--json").json()["bundles"]] == [
        "sectigo-2019",
        "sectigo-2025",
    ]


def test_show_has_all_that_an_operator_asks_for() -> None:
    told = trustmend("bundle", "show")

    assert told.code == 0
    for text in (
        "Zuora cannot see from its side whether you are affected.",
        "2019-09-30T01:00:00-07:00 (2019-09-30 08:00 UTC)",
        "*.zuora.com, services*.zuora.com, restservices*.zuora.com, zconnect.zuora.com, zconnectsandbox.zuora.com",
        "└─ Sectigo RSA Organization Validation Secure Server CA (72a34ac2b424aed3...)",
        "USERTrust RSA Certification Authority (root, installed)",
        "AAA Certificate Services (root, never installed)",
        "2010-02-01 to 2038-01-18 e793c9b02fd8aa13e21c31228accb08119643b749c898964b1746d46c3d4cbd2",
        "AddTrust External CA Root (sibling)",
    ):
        assert text in words(told.out)


def test_show_as_json() -> None:
    shown = trustmend("bundle", "show", "sectigo-2025", "--json").json()

    assert (shown["schema"], shown["origin"], shown["deadline"]) == (
        "trustmend/bundle/1",
        "built-in",
        "2025-05-15T00:00:00+00:00",
    )
    assert {one["role"] for one in shown["certificates"]} == {"root", "cross", "intermediate"}
    assert [chain["id"] for chain in shown["chains"]] == [
        "sectigo-dv-r36",
        "sectigo-ov-r36",
        "sectigo-ev-r36",
        "sectigo-dv-e36",
    ]


def test_verify_names_the_hosts_own_copies(tmp_path: Path) -> None:
    (tmp_path / "etc/ssl/certs").mkdir(parents=True)
    (tmp_path / "etc/ssl/certs/ca-certificates.crt").write_bytes(shipped.pem("root-usertrust-rsa"))

    told = trustmend("--root", tmp_path, "bundle", "verify", "sectigo-2019")

    assert told.code == 0
    assert "pins, roles and signatures hold" in told.out
    assert "USERTrust RSA Certification Authority (root) same in /etc/ssl/certs/ca-certificates.crt" in words(told.out)
    assert "USERTrust ECC Certification Authority (root) not in this host's stores" in words(told.out)


def test_new_is_shown_verified_and_used(tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_bytes(ROOT.pem)
    (tmp_path / "store.pem").write_bytes(ROOT.pem)
    arguments = ["acme", "--from", tmp_path / "root.pem", "--into", tmp_path, "--deadline", "2027-01-01"]

    told = trustmend("bundle", "new", *arguments)

    assert (told.code, told.err) == (0, "")
    assert f"trustmend audit --bundle {tmp_path}/acme" in told.out
    assert "2027-01-01T00:00:00+00:00" in trustmend("bundle", "show", tmp_path / "acme").out
    assert trustmend("bundle", "verify", tmp_path / "acme").code == 0
    assert trustmend("audit", "--bundle", tmp_path / "acme", tmp_path / "store.pem").code == 0
    again = trustmend("bundle", "new", *arguments)
    assert (again.code, "already" in again.err) == (6, True)


def test_several_files_after_one_from(tmp_path: Path) -> None:
    issuing = certificates.intermediate(ROOT, "Acme Issuing CA")
    for name, made in (("root", ROOT), ("issuing", issuing)):
        (tmp_path / f"{name}.pem").write_bytes(made.pem)

    told = trustmend("bundle", "new", "acme", "--into", ".", "--from", "issuing.pem", "root.pem", cwd=tmp_path)

    assert told.code == 0
    assert len(trustmend("bundle", "show", tmp_path / "acme", "--json").json()["certificates"]) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["show", "nothing"], 2, "there is no bundle"),
        (["verify", "nothing"], 2, "there is no bundle"),
        (["show", "/etc"], 6, "is no bundle"),
        (["new"], 2, "Missing argument"),
        (["new", "acme"], 6, "no file of certificates was given"),
        (["new", "acme", "--from", "/nonexistent"], 6, "cannot be read"),
        (["new", "Acme!", "--from", "/etc/hosts"], 6, "cannot be a bundle's name"),
        (["new", "acme", "--from", "/etc/hosts", "--deadline", "soon"], 2, "is no time"),
        (["sing"], 2, "sing"),
    ],
)
def test_wrong_words(arguments: list[str], code: int, word: str) -> None:
    told = trustmend("bundle", *arguments)

    assert (told.code, told.out) == (code, "")
    assert word in told.err
