"""`audit`, `stores` and `show` as a user starts them: bad input, exit codes, both forms of the answer."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

import certificates
import shipped
from command import Ended, trustmend
from keystores import Item, build
from places.planted import Root

ROOT_RSA = shipped.pem("root-usertrust-rsa")
ALL_ROOTS = ROOT_RSA + shipped.pem("root-usertrust-ecc")
AAA = shipped.pem("root-aaa")


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A store that trusts sectigo-2019."""
    path = tmp_path / "good.pem"
    path.write_bytes(ALL_ROOTS)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path / "root")


def test_exit_codes(tmp_path: Path, good: Path) -> None:
    old, absent = tmp_path / "old.pem", tmp_path / "absent.pem"
    old.write_bytes(AAA)
    codes = {
        "good": trustmend("audit", good).code,
        "conditional": trustmend("audit", good, old).code,
        "unreadable": trustmend("audit", good, absent).code,
        "conditional and unreadable": trustmend("audit", good, old, absent).code,
        "usage": trustmend("audit", "--format", "yam").code,
        "no such bundle": trustmend("audit", "--bundle", "none", good).code,
    }

    assert codes == {
        "good": 0,
        "conditional": 3,
        "unreadable": 4,
        "conditional and unreadable": 3,
        "usage": 2,
        "no such bundle": 2,
    }


def bad_inputs(folder: Path) -> dict[str, tuple[str, str]]:
    """name -> (the verdict, a word of its reason) of paths that are no good store, all planted in `folder`."""
    (folder / "empty.pem").touch()
    (folder / "text.pem").write_text("Dear Sir or Madam\n")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("nowhere")
    with open(folder / "huge.pem", "wb") as huge:
        huge.truncate(200_000_000)
    (folder / "null").symlink_to("/dev/null")
    (folder / "cut.jks").write_bytes(b"\xfe\xed\xfe\xed\0\0\0\2\0\0\0\5\0\0\0\2\0\4name\0\0")
    (folder / "cut.pem").write_bytes(ROOT_RSA[:-40])
    return {
        "absent.pem": ("unreadable", "no such file"),
        "empty.pem": ("untrusted", "empty"),
        "text.pem": ("untrusted", "neither a certificate nor a key store"),
        "folder": ("untrusted", "no certificate"),
        "pipe": ("unreadable", "named pipe"),
        "loop": ("unreadable", "circle"),
        "dangling": ("unreadable", "no such file"),
        "huge.pem": ("unreadable", "too large"),
        "null": ("unreadable", "device"),
        "cut.jks": ("untrusted", "does not load it"),
        "cut.pem": ("untrusted", "does not load it"),
    }


def test_bad_input_is_a_line_for_its_store_and_the_others_are_judged(tmp_path: Path, good: Path) -> None:
    expected = bad_inputs(tmp_path)
    paths = [tmp_path / name for name in expected]

    told = trustmend("audit", "--json", good, *paths)

    assert told.code == 3
    assert told.store(good)["verdict"] == "trusted"
    rows = {row["path"]: row for row in told.audit()["stores"]}
    rows |= {link: row for row in rows.values() for link in row["links"]}
    for name, (verdict, word) in expected.items():
        row = rows[str(tmp_path / name)]
        reason = row["error"] or row["chains"][0]["reason"]
        assert (row["verdict"], word in reason) == (verdict, True), (name, reason)
    table = trustmend("audit", good, *paths)
    assert all(str(path) in table.out for path in paths)
    assert table.err == ""


def test_the_readers_of_a_pipe_do_not_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    assert trustmend("show", tmp_path / "pipe").code == 4


@pytest.mark.skipif(os.geteuid() != 0, reason="as root only: it becomes another user")
@pytest.mark.needs("setpriv")
def test_what_may_not_be_read_says_who_may(tmp_path: Path, good: Path) -> None:
    good.chmod(0)
    for folder in list(tmp_path.parents)[:-2]:
        folder.chmod(folder.stat().st_mode | 0o011)
    tmp_path.chmod(0o755)
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]

    told = trustmend("audit", good, wrap=nobody, cwd="/")

    assert told.code == 4
    assert "permission denied" in told.out
    assert "run the audit as root" in " ".join(told.out.split())


def test_control_characters_never_reach_the_terminal(tmp_path: Path) -> None:
    evil = "\x1b[2J\x07\u202eroot\r\n"
    made = certificates.root(certificates.name(evil))
    path = tmp_path / "a\x1b[31m\nb.pem"
    path.write_bytes(made.pem + ROOT_RSA[:-60])

    for command in (["audit"], ["show", "--all"], ["stores"], ["audit", "--json"], ["show", "--json"]):
        told = trustmend(*command[:1], path, *command[1:])
        shown = told.out + told.err
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", shown), command


def test_a_path_that_is_not_utf_8(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.pem"
    with open(path, "wb") as file:
        file.write(ALL_ROOTS)

    told = trustmend("audit", os.fsdecode(path))

    assert told.code == 0
    assert "caf\\xe9.pem" in told.out


def test_lines_fit_eighty_columns_but_for_paths(tmp_path: Path) -> None:
    bad_inputs(tmp_path)
    told = trustmend("audit", *sorted(tmp_path.iterdir()))

    too_long = [line for line in told.out.splitlines() if len(line) > 80 and str(tmp_path) not in line]
    assert too_long == []


def test_the_answer_comes_first(tmp_path: Path, good: Path) -> None:
    old = tmp_path / "old.pem"
    old.write_bytes(AAA)

    assert " ".join(trustmend("audit", good).out.split("\n\n")[0].split()) == (
        "1 trust store trusts Sectigo RSA DV, OV and EV."
    )
    first = " ".join(trustmend("audit", good, old, tmp_path / "none").out.split("\n\n")[0].split())
    assert first == (
        "1 of 3 trust stores trusts Sectigo RSA DV, OV and EV only if the server also sends a cross-sign; "
        "1 could not be read."
    )


def test_a_time_can_be_given(tmp_path: Path) -> None:
    old = tmp_path / "old.pem"
    old.write_bytes(AAA)

    assert trustmend("audit", "--json", "--at", "2026-01-01", old).store(old)["verdict"] == "conditional"
    assert trustmend("audit", "--json", "--at", "2029-01-01T00:00:00Z", old).store(old)["verdict"] == "untrusted"
    assert trustmend("audit", "--at", "yesterday", old).code == 2
    assert "names no time zone" in trustmend("audit", "--at", "2026-01-01T00:00:00", old).err


def test_a_clock_that_is_far_off_is_said(good: Path) -> None:
    told = trustmend("audit", "--json", "--at", "1999-01-01", good)

    assert [finding["code"] for finding in told.audit()["findings"]] == ["clock"]
    assert "is the clock right?" in " ".join(trustmend("audit", "--at", "1999-01-01", good).out.split())


def test_all_bundles(good: Path) -> None:
    row = trustmend("audit", "--json", "--bundle", "all", good).store(good)

    verdicts = {chain["bundle"]: chain["verdict"] for chain in row["chains"] if chain["required"]}
    assert verdicts == {"sectigo-2019": "trusted", "sectigo-2025": "conditional"}


def test_a_root_is_looked_at_alone(root: Root, good: Path) -> None:
    root.file("/etc/os-release", b'ID=debian\nPRETTY_NAME="Debian GNU/Linux 12"\n')
    root.file("/etc/hostname", b"planted\n")
    bundle = root.file("/etc/ssl/certs/ca-certificates.crt", ALL_ROOTS)
    root.link("/usr/lib/ssl/cert.pem", "/etc/ssl/certs/ca-certificates.crt")
    root.link("/usr/lib/ssl/certs", "/etc/ssl/certs")
    environ = {"SSL_CERT_FILE": str(good)}  # the caller's, and nothing in that root

    told = trustmend("--root", root.folder, "audit", "--json", environ=environ)

    (row,) = told.audit()["stores"]
    assert (row["path"], row["links"], row["verdict"]) == (bundle, ["/usr/lib/ssl/cert.pem"], "trusted")
    assert told.audit()["host"] == {"name": "planted", "os": "Debian GNU/Linux 12", "root": str(root.folder)}


def test_no_link_leads_out_of_a_root(root: Root, good: Path) -> None:
    root.link("/usr/lib/python3/dist-packages/certifi/cacert.pem", str(good))

    assert trustmend("--root", root.folder, "audit", "--json").audit()["stores"] == []


def test_a_scan_finds_what_no_place_knows(root: Root) -> None:
    kept = root.file("/srv/data/anything.bin", ALL_ROOTS)

    told = trustmend("--root", root.folder, "audit", "--json", "--scan", "/srv")

    assert [row["path"] for row in told.audit()["stores"]] == [kept]
    assert trustmend("--root", root.folder, "audit", "--json").audit()["stores"] == []


def test_a_scan_of_nothing_is_said(tmp_path: Path) -> None:
    told = trustmend("audit", "--scan", tmp_path / "none")

    assert (told.code, "to scan" in told.err) == (2, True)


def test_errors_show_no_control_characters() -> None:
    told = trustmend("show", "/no\x1b[2Jthing")

    assert "\\x1b" in told.err
    assert "\x1b" not in told.err


def test_variables_of_the_shell_name_stores(tmp_path: Path, good: Path) -> None:
    old = tmp_path / "old.pem"
    old.write_bytes(AAA)

    told = trustmend("audit", "--json", environ={"REQUESTS_CA_BUNDLE": str(old), "CURL_CA_BUNDLE": str(tmp_path / "x")})

    assert told.store(old)["verdict"] == "conditional"
    assert told.store(old)["readers"][0]["how"] == "environment variable REQUESTS_CA_BUNDLE"
    assert told.store(tmp_path / "x")["verdict"] == "unreadable"


def test_show_says_why(tmp_path: Path) -> None:
    old = tmp_path / "old.pem"
    old.write_bytes(AAA)

    told = trustmend("show", old)

    assert told.code == 3
    words = " ".join(told.out.split())
    assert "the root USERTrust RSA Certification Authority (e793c9b02fd8aa13...) is missing" in words
    assert "nothing in it has its key" in words
    assert "└─ Sectigo RSA Organization Validation Secure Server CA (not in the store)" in words


def test_show_takes_an_id_and_gives_all_entries(good: Path) -> None:
    row = trustmend("audit", "--json", good).store(good)

    told = trustmend("show", "--json", good).json()

    assert (told["schema"], told["id"], told["verdict"]) == ("trustmend/store/1", row["id"], "trusted")
    assert [entry["sha256"] for entry in told["entries"]] == [
        shipped.certificate(name).sha256 for name in ("root-usertrust-rsa", "root-usertrust-ecc")
    ]
    assert trustmend("show", "0" * 12).code == 2


def test_stores_lists_without_judging(good: Path) -> None:
    told = trustmend("stores", good)

    assert (told.code, "1 trust store found" in told.out, "2 certificates" in told.out) == (0, True, True)
    assert trustmend("stores", "--json", good).json()["schema"] == "trustmend/stores/1"


def test_an_answer_can_be_written_to_a_file(tmp_path: Path, good: Path) -> None:
    told = trustmend("audit", "--json", "-o", tmp_path / "answer.json", good)

    assert told.out == ""
    assert Ended(0, (tmp_path / "answer.json").read_text(), "").store(good)["verdict"] == "trusted"
    assert "cannot be written" in trustmend("audit", "-o", tmp_path / "no/answer", good).err


def test_nothing_is_opened_for_writing(tmp_path: Path, good: Path) -> None:
    """The kernel's own word: no open for writing, no rename, no unlink below the stores' folder."""
    before = {path: path.stat() for path in tmp_path.iterdir()}
    assert trustmend("audit", good, tmp_path).code in (0, 3)

    after = {path: path.stat() for path in tmp_path.iterdir()}
    assert {path: (s.st_mtime_ns, s.st_ctime_ns, s.st_size) for path, s in before.items()} == {
        path: (s.st_mtime_ns, s.st_ctime_ns, s.st_size) for path, s in after.items()
    }


def test_private_keys_are_noted_and_never_shown(tmp_path: Path) -> None:
    vendor = certificates.root("Keeper")
    path = tmp_path / "both.pem"
    path.write_bytes(ROOT_RSA + vendor.key_pem)
    secret = vendor.key_pem.split(b"\n")[1].decode()

    for command in (["audit"], ["show", "--all"], ["stores"], ["audit", "--json"], ["show", "--json"]):
        told = trustmend(command[0], path, *command[1:])
        assert secret not in told.out + told.err
    assert "private key" in trustmend("show", path).out


def test_odd_certificates_are_data(tmp_path: Path) -> None:
    """Serial numbers below one, version 1, SHA-1, doubles and unknown keys are shown, and hide nothing."""
    odd = [
        certificates.root("Negative", serial=-5),
        certificates.root("Zero", serial=0),
        certificates.root("Version 1", version=1),
        certificates.root("SHA-1", kind="rsa", digest="sha1"),
        certificates.root("Edwards", kind="ed25519"),
        certificates.root(certificates.name("Größe", form="latin-1")),
    ]
    path = tmp_path / "odd.pem"
    path.write_bytes(b"".join(made.pem for made in odd) * 2 + ALL_ROOTS)

    told = trustmend("show", "--json", "--all", path)

    assert told.code == 0
    assert {entry["sha256"] for entry in told.json()["entries"]} >= {made.sha256 for made in odd}


def test_help_reads_well() -> None:
    told = trustmend("--help")

    assert told.code == 0
    assert "Find every trust store" in told.out
    assert max(map(len, told.out.splitlines())) <= 80
    for command in ("audit", "stores", "show", "bundle"):
        assert re.search(rf"^\s+{command}\s", told.out, re.MULTILINE)
        assert trustmend(command, "--help").code == 0
    assert trustmend().code in (0, 2)


def test_no_name_is_taken_for_markup(tmp_path: Path) -> None:
    path = tmp_path / "[prod] [bold]ca.pem"
    path.write_bytes(ALL_ROOTS)

    assert str(path) in trustmend("audit", path).out


def test_the_wrong_words_say_what_is_right() -> None:
    told = trustmend("audti")

    assert told.code == 2
    assert "audti" in told.err


def key_store(path: Path, **options: str) -> Path:
    """A JKS store of the roots that sectigo-2019 wants."""
    roots = [shipped.certificate(f"root-usertrust-{kind}").der for kind in ("rsa", "ecc")]
    path.write_bytes(build([Item(f"root-{number}", der) for number, der in enumerate(roots)], **options))  # type: ignore[arg-type]
    return path


def test_the_password_of_a_key_store(tmp_path: Path) -> None:
    store = key_store(tmp_path / "store", password="s3cret")
    (tmp_path / "right").write_text("s3cret\nand more\n")
    (tmp_path / "wrong").write_text("other\n")

    without = trustmend("audit", "--json", store)
    assert without.store(store)["verdict"] == "untrusted"
    assert [finding["code"] for finding in without.store(store)["findings"]] == [
        "integrity-unverified",
        "refused-by-reader",
    ]
    assert "--password-file" in " ".join(trustmend("audit", store).out.split())
    assert trustmend("audit", "--password-file", tmp_path / "right", store).code == 0
    assert trustmend("audit", "--password-file", tmp_path / "wrong", store).code == 3
    assert trustmend("audit", store, environ={"TRUSTMEND_STOREPASS": "s3cret"}).code == 0
    missing = trustmend("audit", "--password-file", tmp_path / "none", store)
    assert (missing.code, "cannot be read" in missing.err) == (4, True)
    for told in (without, trustmend("show", "--password-file", tmp_path / "right", store)):
        assert "s3cret" not in told.out + told.err


def test_a_flipped_digest_and_a_cut_store(tmp_path: Path) -> None:
    flipped, cut = key_store(tmp_path / "flipped"), key_store(tmp_path / "cut")
    flipped.write_bytes(flipped.read_bytes()[:-1] + b"\0")
    cut.write_bytes(cut.read_bytes()[:900])

    told = trustmend("audit", "--json", flipped, cut)

    assert told.code == 3
    assert told.store(flipped)["verdict"] == told.store(cut)["verdict"] == "untrusted"
    assert told.store(flipped)["certificates"] == 2
    assert "byte" in str(told.store(cut)["findings"])


def test_an_alias_that_names_another_ca(tmp_path: Path) -> None:
    store = tmp_path / "store"
    wrong = Item("USERTrust RSA Certification Authority".lower(), shipped.certificate("root-aaa").der)
    store.write_bytes(build([wrong]))

    row = trustmend("audit", "--json", store).store(store)

    assert "misleading-alias" in [finding["code"] for finding in row["findings"]]
    assert row["verdict"] == "conditional"
