"""Patches of NSS databases with the real certutil, which is also asked what NSS makes of them."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

import authority as authorities
import certificates
from certificates import Made
from change.faults import ERRORS, FailingDisk, killed_at_each
from command import trustmend
from patching import Bench, Snapshot, snapshot
from trustmend import systems
from trustmend.audit import judge
from trustmend.change.disk import Disk
from trustmend.change.facts import Surroundings
from trustmend.errors import TrustError
from trustmend.formats import nss
from trustmend.model import EntryKind, Family, Location
from trustmend.plan import Method, Wishes
from trustmend.planning import make
from trustmend.stores import Reading, read_stores

pytestmark = pytest.mark.needs("certutil")
PASSWORD = "two words"


@pytest.fixture(scope="module")
def vendor() -> authorities.Authority:
    return authorities.make()


class Database:
    """An NSS database in a folder of its own, with one root that is trusted and one certificate that is not."""

    def __init__(self, folder: Path, vendor: authorities.Authority, password: str = "") -> None:
        self.folder = folder
        self.path = folder / "cert9.db"
        self.word = folder.parent / f"{folder.name}.password"
        self.word.write_text(f"{password}\n", "utf-8")
        folder.mkdir()
        self.certutil("-N")
        self.add(vendor.stranger, "stranger", "C,,")
        self.add(vendor.cross, "seen", ",,")

    def certutil(self, *arguments: str, stdin: bytes = b"", code: int = 0) -> str:
        """What certutil says of this database; it must end with this code."""
        command = ["certutil", *arguments, "-d", f"sql:{self.folder}", "-f", str(self.word)]
        done = subprocess.run(command, input=stdin, env={"PATH": "/usr/bin:/bin"}, capture_output=True, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout.decode()

    def add(self, made: Made, nickname: str, flags: str) -> None:
        """Import a certificate."""
        self.certutil("-A", "-n", nickname, "-t", flags, stdin=made.der)

    def nicknames(self) -> dict[str, str]:
        """Nickname -> trust flags."""
        lines = self.certutil("-L").splitlines()
        return {
            line.rpartition(" ")[0].strip(): line.split()[-1] for line in map(str.rstrip, lines) if line[-1:] == ","
        }

    def accepts(self, leaf: Made) -> bool:
        """Whether NSS takes a server's certificate, by what is in a copy of the database."""
        with suppress(FileExistsError):
            shutil.copytree(self.folder, self.folder.parent / "copy")
        copy = Database.__new__(Database)
        copy.folder, copy.word = self.folder.parent / "copy", self.word
        try:
            copy.add(leaf, "the server", ",,")
            asked = ["certutil", "-V", "-n", "the server", "-u", "V", "-d", f"sql:{copy.folder}", "-f", str(self.word)]
            return subprocess.run(asked, env={"PATH": "/usr/bin:/bin"}, capture_output=True).returncode == 0
        finally:
            shutil.rmtree(copy.folder)


@pytest.fixture
def database(tmp_path: Path, vendor: authorities.Authority) -> Database:
    return Database(tmp_path / "db", vendor)


def bench(database: Database, vendor: authorities.Authority, password: str | None = None) -> Bench:
    return Bench([database.path], authorities.bundle(vendor), database.folder.parent / "state", password=password)


@pytest.mark.parametrize("password", ["", PASSWORD])
def test_a_round_trip(tmp_path: Path, vendor: authorities.Authority, password: str) -> None:
    database = Database(tmp_path / "db", vendor, password)
    database.path.chmod(0o640)
    patching = bench(database, vendor, password or None)
    before = snapshot(database.folder)
    old = {name: nss.tables((database.folder / name).read_bytes()) for name in ("cert9.db", "key4.db")}
    assert not database.accepts(vendor.leaf)

    (result,) = patching.patch()

    assert (result.state, result.step.method, result.error) == ("applied", Method.NSS, None)
    assert database.accepts(vendor.leaf)
    assert database.nicknames() == {
        "stranger": "C,,",
        "seen": ",,",
        systems.alias(vendor.new.certificate): "C,,",
        systems.alias(vendor.issuing.certificate): ",,",
    }
    after = snapshot(database.folder)
    assert {path for path in after if after[path] != before.get(path)} == set(result.step.files)
    assert set(before) == set(after)
    for name, tables in old.items():
        now = nss.tables((database.folder / name).read_bytes())
        assert not any(rows - now[table] for table, rows in tables.items())
    assert patching.plan().steps == ()
    assert not (patching.state / "changes" / "work").exists()
    assert not list(patching.state.rglob("password"))

    assert patching.take_back() == []

    assert snapshot(database.folder) == before


def test_without_its_password_it_stays_as_it_is(tmp_path: Path, vendor: authorities.Authority) -> None:
    database = Database(tmp_path / "db", vendor, PASSWORD)

    for given in (None, "wrong"):
        plan = bench(database, vendor, given).plan()
        assert plan.steps == ()
        assert "no known password" in plan.cannot_fix[0].reason
    keys = (database.folder / "key4.db").read_bytes()
    assert [nss.password_fits(keys, word) for word in (PASSWORD, "wrong", "")] == [True, False, False]
    assert [nss.password_fits(broken, "") for broken in (b"no database", b"", keys[:5000])] == [None] * 3


def test_a_database_without_a_key_file_gets_one(database: Database, vendor: authorities.Authority) -> None:
    keys = database.folder / "key4.db"
    keys.unlink()
    database.path.chmod(0o600)
    before = snapshot(database.folder)
    patching = bench(database, vendor)

    assert [one.state for one in patching.patch()] == ["applied"]

    assert database.accepts(vendor.leaf)
    assert keys.stat().st_mode & 0o777 == 0o600
    assert patching.take_back() == []
    assert snapshot(database.folder) == before


def test_surgery_takes_out_ours_and_leaves_what_came_later(database: Database, vendor: authorities.Authority) -> None:
    patching = bench(database, vendor)
    patching.patch()
    database.add(certificates.root("Another CA"), "later", "C,,")

    assert patching.take_back(surgical=True) == []

    assert database.nicknames() == {"stranger": "C,,", "seen": ",,", "later": "C,,"}


def test_a_bar_is_not_lifted(database: Database, vendor: authorities.Authority) -> None:
    database.add(vendor.new, "barred by the user", "p,,")

    plan = bench(database, vendor).plan()

    assert plan.steps == ()
    assert "bars" in plan.cannot_fix[0].reason


HOLD = "import sys; file = open(sys.argv[1], 'rb'); print(flush=True); sys.stdin.read()"
LOCK = (
    "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.lockf(file, fcntl.LOCK_EX); print(flush=True); "
    "sys.stdin.read()"
)


@contextmanager
def running(code: str, path: Path) -> Iterator[int]:
    """A process that holds a file, or its lock."""
    with subprocess.Popen([sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.communicate()


@pytest.mark.parametrize(("code", "name"), [(HOLD, "cert9.db"), (HOLD, "key4.db"), (LOCK, ".parentlock")])
def test_one_that_is_in_use_is_left_alone(
    database: Database, vendor: authorities.Authority, code: str, name: str
) -> None:
    patching = bench(database, vendor)
    plan = patching.plan()
    before = database.path.read_bytes()

    with running(code, database.folder / name) as pid:
        refused = patching.plan()
        (failed,) = patching.patch(plan)  # it was started after the plan was made

    assert refused.steps == ()
    assert str(pid) in refused.cannot_fix[0].reason
    assert failed.state == "failed"
    assert database.path.read_bytes() == before
    assert len(patching.plan().steps) == 1


def test_unfinished_work_beside_it_is_left_to_its_program(database: Database, vendor: authorities.Authority) -> None:
    (database.folder / "cert9.db-journal").write_bytes(b"a journal")

    plan = bench(database, vendor).plan()

    assert plan.steps == ()
    assert "cert9.db-journal" in plan.cannot_fix[0].reason


def test_a_database_of_the_write_ahead_form_is_read(database: Database, vendor: authorities.Authority) -> None:
    import sqlite3

    with sqlite3.connect(database.path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    assert database.path.read_bytes()[18:20] == b"\x02\x02"

    content = nss.read(database.path.read_bytes())

    assert {e.certificate.sha256: e.kind for e in content.entries} == {
        vendor.stranger.sha256: EntryKind.CERTIFICATE,
        vendor.cross.sha256: EntryKind.PLAIN,
    }


def test_without_certutil_the_package_is_named(database: Database, vendor: authorities.Authority) -> None:
    patching = bench(database, vendor)
    location = Location(str(database.path), Family.BROWSER, named=True, by_user=True)
    (store,) = read_stores(patching.host, [location], Reading())
    judged = [judge(store, [patching.bundle], patching.host.now)]
    around = Surroundings(patching.host, patching.hands.files, judged, None, ())

    plan = make(
        judged,
        [patching.bundle],
        patching.host.now,
        Wishes(),
        lambda one: replace(around.of_store(one), certutil=None),
        around.of_system,
    )

    assert plan.steps == ()
    assert "libnss3-tools" in plan.cannot_fix[0].remedy


@pytest.mark.privileged
def test_root_changes_a_users_database_as_that_user(open_path: Path, vendor: authorities.Authority) -> None:
    home = open_path / "home"
    home.mkdir()
    database = Database(home / "nssdb", vendor)
    for path in (home, database.folder, *database.folder.iterdir()):
        os.chown(path, 1234, 1235)
    before = snapshot(database.folder)
    patching = Bench([database.path], authorities.bundle(vendor), open_path / "state")

    assert [one.state for one in patching.patch()] == ["applied"]

    after = snapshot(database.folder)
    assert {(thing[1], thing[2]) for thing in after.values()} == {(1234, 1235)}
    assert {thing[0] for thing in after.values()} == {thing[0] for thing in before.values()}
    assert patching.take_back() == []
    assert snapshot(database.folder) == before


def old_or_new(now: Snapshot, old: Snapshot, trusted: bool) -> None:
    """The old database, or a whole new one; new keys may stand beside old certificates, which harms nobody."""
    certificates_ = next(path for path in old if path.endswith("cert9.db"))
    assert now[certificates_] == old[certificates_] or trusted


@pytest.mark.slow
@pytest.mark.parametrize("persistent", [False, True])
def test_any_operation_fails(
    database: Database, vendor: authorities.Authority, tmp_path: Path, persistent: bool
) -> None:
    shutil.copytree(database.folder, tmp_path / "pristine")
    old = snapshot(database.folder)
    for nth in itertools.count(1):
        patching = bench(database, vendor)
        patching.disk = disk = FailingDisk(nth, ERRORS[0], persistent=persistent)
        with suppress(TrustError, OSError):
            patching.patch()
        patching.disk = Disk()
        old_or_new(snapshot(database.folder), old, patching.trusted() == [True])
        assert [left for _, left in patching.recover()] in ([], [[]]), (nth, disk.log[-3:])
        for record in patching.records():
            if record.open_steps:
                assert patching.take_back() == []
        assert snapshot(database.folder) == old, (nth, disk.log[-3:])
        shutil.rmtree(patching.state, ignore_errors=True)
        if not disk.hits:
            break


@pytest.mark.slow
def test_killed_at_any_operation(database: Database, vendor: authorities.Authority) -> None:
    old = snapshot(database.folder)
    patching = bench(database, vendor)

    def act(disk: Disk) -> None:
        patching.disk = disk
        patching.patch()

    for nth in killed_at_each(act, late=False):
        patching.disk = Disk()
        assert all(not left for _, left in patching.recover()), nth
        if snapshot(database.folder) != old:
            assert database.accepts(vendor.leaf)
            assert patching.take_back() == []
        assert snapshot(database.folder) == old
        assert not list(patching.state.rglob("password"))
        shutil.rmtree(patching.state, ignore_errors=True)
        patching.count = 0


def test_the_command_takes_the_folder_as_certutil_does(database: Database, tmp_path: Path) -> None:
    words = ("--state-dir", tmp_path / "state")
    environ = {"HOME": str(tmp_path)}

    dry = trustmend(*words, "patch", "--dry-run", "--json", database.folder, environ=environ)
    done = trustmend(*words, "patch", "--yes", "--kind", "nss", database.folder, environ=environ)

    assert [row["path"] for row in dry.json()["stores"]] == [str(database.path)]
    assert done.code == 0, done.err
    assert trustmend("audit", database.folder, environ=environ).code == 0
    row = trustmend("audit", "--json", database.folder, environ=environ).store(database.path)
    assert (row["kind"], row["verdict"]) == ("nss", "trusted")
    assert trustmend(*words, "rollback", "--yes", environ=environ).code == 0
    assert set(database.nicknames()) == {"stranger", "seen"}
