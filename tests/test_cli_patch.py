"""`trustmend patch`, `rollback`, `history`, `recover` and `forget` as a user starts them, on stores in a folder."""

from __future__ import annotations

import base64
import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import shipped
from command import Ended, trustmend
from hosts.machine import Jdk
from keystores import Item, build, listed
from patching import snapshot
from trustmend.formats import pem

AAA = shipped.pem("root-aaa")
COMODO = shipped.pem("root-addtrust-external")
USERTRUST = shipped.certificate("root-usertrust-rsa").sha256
R46 = shipped.certificate("root-sectigo-r46").sha256


class Site:
    """Stores, and a state folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "stores"
        self.folder.mkdir()
        self.state = folder / "state"

    def store(self, name: str, content: bytes = AAA) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def run(self, *words: object) -> Ended:
        return trustmend("--state-dir", self.state, *words)

    def patch(self, *words: object) -> Ended:
        return self.run("patch", "--yes", *words)

    def changes(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.run("history", "--json").json()["changes"]
        return found


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def held(path: Path) -> set[str]:
    return {entry.certificate.sha256 for entry in pem.read(path.read_bytes()).entries}


def test_a_dry_run_shows_the_plan_and_writes_nothing(site: Site) -> None:
    store = site.store("old.pem")
    before = snapshot(site.folder)

    told = site.run("patch", "--dry-run", store)

    assert told.code == 3
    assert f"  {store}" in told.out.splitlines()
    assert "+ USERTrust RSA Certification Authority (root)" in told.out
    assert USERTRUST in told.out
    assert all(len(line) <= 80 for line in told.out.splitlines() if str(site.folder.parent) not in line)
    assert snapshot(site.folder) == before
    assert not site.state.exists()


def test_patch_and_rollback_are_a_round_trip(site: Site) -> None:
    store = site.store("old.pem", b"# ours\r\n" + AAA.rstrip(b"\n"))
    store.chmod(0o604)
    os.setxattr(store, "user.origin", b"a backup")
    other = site.store("link-target.pem")
    link = site.folder / "link.pem"
    link.symlink_to("link-target.pem")
    before = snapshot(site.folder)

    done = site.patch(store, link)

    assert done.code == 0, done.err
    assert "2 trust stores changed, and read again." in done.out
    assert site.run("audit", store, link).code == 0
    assert link.is_symlink()
    assert USERTRUST in held(other)
    assert os.getxattr(store, "user.origin") == b"a backup"
    assert store.stat().st_mode & 0o777 == 0o604

    again = site.patch(store, link)
    assert again.code == 0
    assert "There is nothing to change." in again.out

    back = site.run("rollback", "--yes")
    assert back.code == 0, back.err
    assert snapshot(site.folder) == before
    assert site.changes()[0]["state"] == "rolled-back"
    assert site.run("rollback", "--yes").code == 2  # there is none to take back


def test_applying_touches_exactly_the_files_that_the_plan_named(site: Site) -> None:
    store = site.store("old.pem")
    folder = site.folder / "certs"
    folder.mkdir()
    (folder / "aaa.pem").write_bytes(AAA)
    (folder / f"{hash_of('root-aaa')}.0").symlink_to("aaa.pem")
    before = snapshot(site.folder)
    plan = site.run("patch", "--dry-run", "--json", store, folder).json()

    assert site.patch(store, folder).code == 0

    after = snapshot(site.folder)
    changed = {path for path in {*before, *after} if before.get(path) != after.get(path)}
    assert changed == {path for row in plan["stores"] for path in row["files"]}
    assert plan["state"] == "planned"
    assert site.run("audit", folder).code == 0


def hash_of(name: str) -> str:
    from trustmend.certificate import name_hash

    return name_hash(shipped.certificate(name))


def test_without_a_terminal_nobody_is_asked(site: Site) -> None:
    store = site.store("old.pem")

    told = site.run("patch", store)

    assert told.code == 6
    assert "no terminal" in told.err
    assert "--yes" in told.err
    assert store.read_bytes() == AAA


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"n\n", 6), (b"\n", 6)])
def test_on_a_terminal_one_question_is_asked(site: Site, answer: bytes, code: int) -> None:
    store = site.store("old.pem")
    leader, follower = pty.openpty()
    os.write(leader, answer)

    done = subprocess.run(
        [sys.executable, "-m", "trustmend", "--state-dir", site.state, "patch", store],
        env={"PYTHONPATH": str(shipped.ROOT / "src"), "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"},
        stdin=follower,
        capture_output=True,
        check=False,
        timeout=60,
    )
    os.close(leader)
    os.close(follower)

    assert done.returncode == code, done.stderr
    assert done.stderr.count(b"[y/N]") == 1
    assert (store.read_bytes() != AAA) == (code == 0)


def test_what_cannot_be_mended_stands_with_its_remedy(site: Site) -> None:
    good = site.store("old.pem")
    damaged = site.store("damaged.pem", AAA + AAA[:200])
    missing = site.folder / "missing.pem"

    told = site.patch("--json", good, damaged, missing)

    assert told.code == 4
    document = told.json()
    assert document["state"] == "applied"
    rows = {row["path"]: row for row in document["cannot_fix"]}
    assert set(rows) == {str(damaged), str(missing)}
    assert "OpenSSL" in rows[str(damaged)]["reason"]
    assert "repair" in rows[str(damaged)]["remedy"]
    assert "no such file" in rows[str(missing)]["reason"]
    assert site.patch(damaged).code == 6


def test_roots_only_leaves_the_intermediates_out(site: Site) -> None:
    store = site.store("old.pem")

    assert site.patch("--roots-only", store).code == 0

    roots = {shipped.certificate(name).sha256 for name in ("root-usertrust-rsa", "root-usertrust-ecc")}
    assert held(store) - {shipped.certificate("root-aaa").sha256} == roots
    assert site.run("audit", store).code == 0


def test_complete_tops_up_a_store_that_trusts_the_chains(site: Site) -> None:
    store = site.store("new.pem", shipped.pem("root-usertrust-rsa"))

    assert site.patch(store).code == 0
    assert held(store) == {USERTRUST}
    assert site.patch("--complete", store).code == 0

    assert len(held(store)) == 8
    assert site.run("audit", "--json", store).store(store)["complete"] is True


def test_kind_narrows(site: Site) -> None:
    store = site.store("old.pem")
    jks = site.store("old.jks", build([Item("aaa", shipped.certificate("root-aaa").der)]))

    plan = site.run("patch", "--dry-run", "--json", "--kind", "jks", store, jks).json()

    assert [row["path"] for row in plan["stores"]] == [str(jks)]
    unknown = site.run("patch", "--dry-run", "--kind", "floppy", store)
    assert unknown.code == 2
    assert "pem-bundle" in unknown.err


@pytest.mark.needs("keytool")
def test_a_key_store_keeps_its_key_and_all_else(site: Site, jdks: list[Jdk]) -> None:
    leaf, old = shipped.certificate("root-aaa"), shipped.certificate("root-addtrust-external")
    store = site.store("app.jks", build([Item("me", chain=[leaf.der]), Item("old", old.der)], password="s3cret!"))
    before = store.read_bytes()
    password = site.folder / "password"
    password.write_text("s3cret!\n")

    assert site.patch(store).code == 6  # no known password
    done = site.patch("--password-file", password, store)

    assert done.code == 0, done.err
    entries = listed(jdks[0], store, password="s3cret!")
    assert {entry.alias for entry in entries} > {"me", "old"}
    added = [entry for entry in entries if entry.alias.startswith("trustmend-")]
    assert len(added) == 8
    assert "s3cret!" not in done.out + done.err
    assert b"s3cret!" not in b"".join(p.read_bytes() for p in site.state.rglob("*") if p.name == "journal.jsonl")
    assert site.run("rollback", "--yes").code == 0
    assert store.read_bytes() == before


def test_state_and_backups_are_private(site: Site) -> None:
    store = site.store("old.pem")
    os.umask(0)
    try:
        assert site.patch(store).code == 0
    finally:
        os.umask(0o022)

    for path in [site.state, *site.state.rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    row = site.changes()[0]["stores"][0]
    assert Path(row["backup"]).read_bytes() == AAA
    assert row["before_sha256"] != row["after_sha256"]


def test_a_store_that_somebody_changed_since_is_not_rolled_back(site: Site) -> None:
    store, other = site.store("old.pem"), site.store("other.pem")
    assert site.patch(store, other).code == 0
    store.write_bytes(store.read_bytes() + b"# my own line\n")
    before = snapshot(site.folder)

    told = site.run("rollback", "--yes")

    assert told.code == 6
    assert f"{store} was changed since, by somebody else" in told.err
    assert "--surgical" in told.err
    assert snapshot(site.folder) == before
    assert site.run("rollback", "--dry-run").code == 6

    cut = site.run("rollback", "--yes", "--surgical")
    assert cut.code == 0, cut.err
    assert store.read_bytes() == AAA + b"# my own line\n"
    assert other.read_bytes() == AAA


def test_of_two_overlapping_changes_the_first_is_taken_back_and_the_second_stays(site: Site) -> None:
    store = site.store("old.pem")
    assert site.patch("--bundle", "sectigo-2019", store).code == 0
    assert site.patch("--bundle", "sectigo-2025", store).code == 0
    second, first = [change["id"] for change in reversed(site.changes())]

    told = site.run("rollback", "--yes", first)
    assert told.code == 6
    assert second in told.err

    assert site.run("rollback", "--yes", "--surgical", first).code == 0
    assert R46 in held(store)
    assert USERTRUST not in held(store)
    assert site.run("audit", "--bundle", "sectigo-2025", store).code == 0

    assert site.run("rollback", "--yes", "--surgical", second).code == 0
    assert store.read_bytes() == AAA


def test_both_can_be_taken_back_at_once_the_newest_first(site: Site) -> None:
    store = site.store("old.pem")
    assert site.patch("--bundle", "sectigo-2019", store).code == 0
    assert site.patch("--bundle", "sectigo-2025", store).code == 0
    first, second = [change["id"] for change in site.changes()]

    told = site.run("rollback", "--yes", first, second)

    assert told.code == 0, told.err
    assert store.read_bytes() == AAA


def test_a_certificate_that_the_vendor_ships_meanwhile_stays(site: Site) -> None:
    store = site.store("cacert.pem")
    assert site.patch(store).code == 0
    upgraded = AAA + shipped.pem("root-usertrust-rsa")
    store.write_bytes(upgraded)

    assert site.run("rollback", "--yes").code == 6
    assert site.run("rollback", "--yes", "--surgical").code == 0

    assert store.read_bytes() == upgraded


def test_an_audit_tells_of_a_patch_that_an_upgrade_has_overwritten(site: Site) -> None:
    store = site.store("cacert.pem")
    assert site.patch(store).code == 0
    assert "since-overwritten" not in site.run("audit", "--json", store).out
    store.write_bytes(AAA)

    told = site.run("audit", "--json", store)

    change = site.changes()[0]["id"]
    (finding,) = [f for f in told.store(store)["findings"] if f["code"] == "since-overwritten"]
    assert f"patched by change {change}, since overwritten" in finding["message"]


def test_history_tells_the_whole_story(site: Site) -> None:
    assert "No change was made yet." in site.run("history").out
    store = site.store("old.pem")
    assert site.patch(store).code == 0
    change = site.changes()[0]["id"]

    told = site.run("history", change[:12])

    assert told.code == 0
    assert str(store) in told.out
    assert "applied" in told.out
    assert site.run("history", "nothing").code == 2


def test_backups_are_forgotten_only_when_they_are_no_way_back(site: Site) -> None:
    store = site.store("old.pem")
    assert site.patch(store).code == 0
    change = site.changes()[0]["id"]

    refused = site.run("forget", change)
    assert refused.code == 6
    assert "only way back" in refused.err
    assert site.run("forget").code == 2
    assert site.run("rollback", "--yes").code == 0
    assert site.run("forget", change).code == 0

    assert not list((site.state / "changes" / change / "backup").iterdir())
    assert site.changes()[0]["state"] == "rolled-back"


def test_a_rollback_without_its_backup_is_refused_and_changes_nothing(site: Site) -> None:
    store = site.store("old.pem")
    assert site.patch(store).code == 0
    after = store.read_bytes()
    assert site.run("forget", "--force", site.changes()[0]["id"]).code == 0

    told = site.run("rollback", "--yes")

    assert told.code == 5
    assert "backup" in told.err
    assert store.read_bytes() == after


def test_two_patches_at_once_change_each_store_once(site: Site) -> None:
    stores = [site.store(f"{number}.pem") for number in range(10)]
    words = [sys.executable, "-m", "trustmend", "--state-dir", str(site.state), "patch", "--yes", *map(str, stores)]
    environ = {"PYTHONPATH": str(shipped.ROOT / "src"), "HOME": "/nonexistent"}

    both = [subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    for one in both:
        one.communicate(timeout=120)

    assert [one.returncode for one in both] == [0, 0]
    assert len(site.changes()) == 1
    for store in stores:
        assert len(pem.read(store.read_bytes()).entries) == 9


@pytest.mark.parametrize("spoil", ["mode", "owner", "link"])
def test_a_state_folder_that_others_could_write_is_not_believed(site: Site, spoil: str) -> None:
    if spoil == "owner" and os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    store = site.store("old.pem")
    assert site.patch(store).code == 0
    journal = next(site.state.rglob("journal.jsonl"))
    if spoil == "mode":
        site.state.chmod(0o777)
    elif spoil == "owner":
        os.chown(journal, 65534, 65534)
    else:
        shutil.move(journal, journal.parent / "moved")
        journal.symlink_to("moved")
    after = store.read_bytes()

    for words in (["rollback", "--yes"], ["recover"], ["history"], ["patch", "--yes", str(store)]):
        told = site.run(*words)

        assert told.code == 6, (words, told.err)
        assert "is not used" in told.err
        assert store.read_bytes() == after
    assert site.run("audit", store).code == 0


def test_a_forged_journal_is_not_acted_on(site: Site) -> None:
    store, victim = site.store("old.pem"), site.store("victim")
    assert site.patch(store).code == 0
    journal = next(site.state.rglob("journal.jsonl"))
    lines = journal.read_bytes().replace(str(store).encode(), str(victim).encode())
    journal.write_bytes(lines)

    told = site.run("rollback", "--yes")

    assert told.code == 6
    assert "damaged" in told.err
    assert victim.read_bytes() == AAA


def test_a_store_in_a_folder_that_anybody_can_write_is_left_alone_by_root(site: Site) -> None:
    if os.geteuid() != 0:
        pytest.skip("it is root's rule")
    folder = site.folder / "open"
    folder.mkdir()
    store = folder / "old.pem"
    store.write_bytes(AAA)
    folder.chmod(0o777)

    told = site.patch(store)

    assert told.code == 6
    assert "anybody can write" in " ".join(told.out.split())
    assert store.read_bytes() == AAA


def test_a_path_that_is_not_utf_8_is_changed_and_shown(site: Site) -> None:
    store = site.folder / os.fsdecode(b"caf\xe9.pem")
    store.write_bytes(AAA)

    document = site.patch("--json", store).json()

    (row,) = document["stores"]
    assert row["state"] == "applied"
    assert row["path"].endswith("caf\ufffd.pem")
    assert base64.b64decode(row["path_b64"]) == os.fsencode(store)
    assert site.run("rollback", "--yes").code == 0
    assert store.read_bytes() == AAA


def test_a_full_document_of_a_change(site: Site) -> None:
    store = site.store("old.pem")

    document = site.patch("--json", store).json()

    assert document["schema"] == "trustmend/change/1"
    assert document["state"] == "applied"
    (row,) = document["stores"]
    assert row["path"] == str(store)
    assert row["method"] == "pem"
    assert len(row["add"]) == 8
    assert row["state"] == "applied"
    assert row["error"] is None
    assert json.loads(json.dumps(document)) == document


@pytest.mark.needs("keytool")
def test_root_runs_no_keytool_that_others_can_write(open_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("it is root's rule")
    site = Site(open_path)
    home = site.folder / "jdk"
    (home / "bin").mkdir(parents=True)
    (home / "lib" / "security").mkdir(parents=True)
    marker = site.folder / "ran-as-root"
    planted = home / "bin" / "keytool"
    planted.write_text(f"#!/bin/sh\ntouch {marker}\n")
    planted.chmod(0o755)
    (home / "bin" / "java").write_text(planted.read_text())
    store = home / "lib" / "security" / "cacerts"
    store.write_bytes(build([Item("aaa", shipped.certificate("root-aaa").der)]))
    for path in [home, *home.rglob("*")]:
        os.chown(path, 65534, 65534)

    words = ["--state-dir", site.state, "patch", "--yes", "--json", store]
    done = trustmend(*words, environ={"JAVA_HOME": str(home), "PATH": "/usr/bin:/bin"})

    assert done.code == 0, done.err
    assert not marker.exists()
    assert done.json()["stores"][0]["state"] == "applied"
    assert store.stat().st_uid == 65534  # done as its owner


def test_root_installs_no_bundle_out_of_a_folder(site: Site) -> None:
    if os.geteuid() != 0:
        pytest.skip("it is root's rule")
    store = site.store("old.pem")
    folder = site.folder / "sectigo-2019"
    shutil.copytree(shipped.ROOT / "bundles" / "sectigo-2019", folder)
    manifest = folder / "bundle.toml"
    manifest.write_text(manifest.read_text().replace('name = "sectigo-2019"', 'name = "mine"'))

    told = site.patch("--bundle", folder, store)

    assert told.code == 6
    assert "is not installed" in told.err
    assert site.run("audit", "--bundle", folder, store).code == 3
    assert store.read_bytes() == AAA


def test_a_users_link_to_another_ones_file_is_not_followed_by_root(site: Site) -> None:
    if os.geteuid() != 0:
        pytest.skip("it is root's rule")
    victim = site.store("victim.pem")
    theirs = site.folder / "theirs"
    theirs.mkdir()
    link = theirs / "ca.pem"
    link.symlink_to(victim)
    os.chown(theirs, 65534, 65534)

    told = site.patch(link)

    assert told.code == 6
    assert "out of what is theirs" in " ".join(told.out.split())
    assert victim.read_bytes() == AAA
    assert site.patch(victim).code == 0


def test_a_file_that_holds_something_else_is_never_made_a_trust_store(site: Site, tmp_path: Path) -> None:
    other, blank = tmp_path / "shadow", tmp_path / "blank.pem"
    other.write_bytes(b"root:*:19000:0:99999:7:::\n")
    blank.write_bytes(b"\n")

    told = site.patch(other)

    assert told.code == 6
    assert "it holds something else" in told.out + told.err
    assert other.read_bytes() == b"root:*:19000:0:99999:7:::\n"
    assert site.patch(blank).code == 0
    assert b"BEGIN CERTIFICATE" in blank.read_bytes()
