"""Every operation of a patch and of a rollback fails in turn, or is the last before SIGKILL: old or new, never else."""

from __future__ import annotations

import itertools
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

import authority as authorities
import certificates
from change.faults import ERRORS, INTERRUPT, FailingDisk, killed_at_each
from hosts.machine import Jdk
from keystores import Item, build
from patching import Bench, Snapshot, snapshot
from trustmend.change.disk import Disk
from trustmend.errors import TrustError


@pytest.fixture(scope="module")
def vendor() -> authorities.Authority:
    return authorities.make()


def planted(folder: Path, vendor: authorities.Authority) -> list[Path]:
    """A PEM bundle in which order matters, a link to another one, and a hash directory that holds the cross-sign."""
    stores = folder / "stores"
    stores.mkdir(parents=True)
    bundle = stores / "ca.pem"
    bundle.write_bytes(certificates.bundle_pem(vendor.stranger, vendor.cross))
    bundle.chmod(0o640)
    other = stores / "real.pem"
    other.write_bytes(certificates.bundle_pem(vendor.stranger).rstrip(b"\n"))
    (stores / "link.pem").symlink_to("real.pem")
    directory = stores / "certs"
    directory.mkdir()
    for name, made in (("cross", vendor.cross), ("stranger", vendor.stranger)):
        (directory / f"{name}.pem").write_bytes(certificates.bundle_pem(made))
        (directory / f"{certificates_hash(made)}.0").symlink_to(f"{name}.pem")
    return [bundle, stores / "link.pem", directory]


def certificates_hash(made: certificates.Made) -> str:
    from trustmend.certificate import name_hash

    return name_hash(made.certificate)


@pytest.fixture
def bench(tmp_path: Path, vendor: authorities.Authority) -> Bench:
    return Bench(planted(tmp_path, vendor), authorities.bundle(vendor), tmp_path / "state")


def each_old_or_new(now: Snapshot, old: Snapshot, new: Snapshot) -> None:
    """Every file is byte for byte the old or the new one, and nothing else lies about."""
    for path, thing in now.items():
        if Path(path).name.startswith(".trustmend-"):
            continue  # a temporary name, which recover clears
        assert thing in (old.get(path), new.get(path)), path
    for path in old:
        assert path in now


def of_file(bench: Bench) -> Path:
    return bench.stores[0].parent


def fresh(bench: Bench, vendor: authorities.Authority) -> None:
    """As it was at first."""
    shutil.rmtree(of_file(bench))
    shutil.rmtree(bench.state, ignore_errors=True)
    planted(of_file(bench).parent, vendor)
    bench.disk = Disk()
    bench.count = 0  # the same id, and so the same markers


@pytest.fixture
def states(bench: Bench, vendor: authorities.Authority) -> tuple[Snapshot, Snapshot]:
    """The stores before and after a whole patch."""
    old = snapshot(of_file(bench))
    assert {result.state for result in bench.patch()} == {"applied"}
    assert all(bench.trusted())
    new = snapshot(of_file(bench))
    fresh(bench, vendor)
    return old, new


FAILURES = [
    pytest.param(error, persistent, late, marks=() if error == ERRORS[0] else pytest.mark.slow)
    for error, persistent, late in itertools.product(ERRORS, (False, True), (False, True))
]


@pytest.mark.parametrize(("error", "persistent", "late"), FAILURES)
def test_a_failing_operation_of_a_patch_leaves_each_store_old_or_new(
    bench: Bench,
    vendor: authorities.Authority,
    states: tuple[Snapshot, Snapshot],
    error: int,
    persistent: bool,
    late: bool,
) -> None:
    old, new = states
    for nth in itertools.count(1):
        disk = FailingDisk(nth, error, persistent=persistent, late=late)
        bench.disk = disk
        with suppress(TrustError, OSError):
            results = bench.patch()
            if not persistent:
                assert all(result.state in ("applied", "failed") for result in results), (nth, disk.log[-3:])
        each_old_or_new(snapshot(of_file(bench)), old, new)

        bench.disk = Disk()
        assert [left for _, left in bench.recover()] in ([], [[]]), (nth, disk.log[-3:])
        for record in bench.records():
            if record.open_steps:
                assert bench.take_back() == []
        assert snapshot(of_file(bench)) == old, (nth, disk.log[-3:])
        fresh(bench, vendor)
        if not disk.hits:
            break


@pytest.mark.parametrize(("error", "persistent", "late"), FAILURES)
def test_a_failing_operation_of_a_rollback_can_be_done_again(
    bench: Bench,
    vendor: authorities.Authority,
    states: tuple[Snapshot, Snapshot],
    error: int,
    persistent: bool,
    late: bool,
) -> None:
    old, new = states
    for nth in itertools.count(1):
        bench.patch()
        disk = FailingDisk(nth, error, persistent=persistent, late=late)
        bench.disk = disk
        with suppress(TrustError, OSError):
            bench.take_back()
        each_old_or_new(snapshot(of_file(bench)), old, new)

        bench.disk = Disk()
        bench.recover()
        for record in bench.records():
            if record.open_steps:
                assert bench.take_back() == []
        assert snapshot(of_file(bench)) == old, (nth, disk.log[-3:])
        fresh(bench, vendor)
        if not disk.hits:
            break


@pytest.mark.parametrize("late", [False, True])
def test_killed_at_any_operation_of_a_patch_it_is_finished_or_undone(
    bench: Bench, vendor: authorities.Authority, states: tuple[Snapshot, Snapshot], late: bool
) -> None:
    old, new = states

    def act(disk: Disk) -> None:
        bench.disk = disk
        bench.patch()

    seen = set()
    for nth in killed_at_each(act, late=late):
        each_old_or_new(snapshot(of_file(bench)), old, new)
        bench.disk = Disk()
        assert all(not left for _, left in bench.recover()), nth
        now = snapshot(of_file(bench))
        assert now in (old, new), nth
        seen.add(now == new)
        assert not any(record.cut_off for record in bench.records())
        fresh(bench, vendor)
    assert seen == {False, True}


@pytest.mark.parametrize("late", [False, True])
def test_killed_at_any_operation_of_a_rollback_recover_goes_on_with_it(
    bench: Bench, vendor: authorities.Authority, states: tuple[Snapshot, Snapshot], late: bool
) -> None:
    old, new = states
    bench.patch()

    def act(disk: Disk) -> None:
        bench.disk = disk
        bench.take_back()

    for nth in killed_at_each(act, late=late):
        each_old_or_new(snapshot(of_file(bench)), old, new)
        bench.disk = Disk()
        assert all(not left for _, left in bench.recover()), nth
        assert snapshot(of_file(bench)) in (old, new), nth
        fresh(bench, vendor)
        bench.patch()


def test_a_step_that_cannot_even_be_undone_stays_open_until_it_can(
    bench: Bench, vendor: authorities.Authority, states: tuple[Snapshot, Snapshot]
) -> None:
    """A disk that breaks for good in the middle of a folder's moves, and can be written again later."""
    old, _ = states
    left = 0
    for nth in itertools.count(1):
        bench.disk = disk = FailingDisk(nth, ERRORS[1], persistent=True)
        with suppress(TrustError, OSError):
            bench.patch()
        bench.disk = Disk()
        records = bench.records()
        left += snapshot(of_file(bench)) != old
        if snapshot(of_file(bench)) != old:
            assert records
            assert records[0].cut_off or records[0].open_steps, disk.log[-3:]
        bench.recover()
        for record in bench.records():
            if record.open_steps:
                assert bench.take_back() == []
        assert snapshot(of_file(bench)) == old
        fresh(bench, vendor)
        if not disk.hits:
            break
    assert left


def test_ctrl_c_at_any_operation_undoes_the_store_at_hand_and_keeps_the_record_of_the_others(
    bench: Bench, vendor: authorities.Authority, states: tuple[Snapshot, Snapshot]
) -> None:
    old, new = states
    for nth in itertools.count(1):
        bench.disk = disk = FailingDisk(nth, INTERRUPT)
        with suppress(KeyboardInterrupt):
            bench.patch()
        bench.disk = Disk()
        each_old_or_new(snapshot(of_file(bench)), old, new)
        records = bench.records()
        if records and not records[0].cut_off:
            done = {step.state for step in records[0].steps}
            assert done <= {"applied", "failed", "planned"}, (nth, disk.log[-3:])
        bench.recover()
        for record in bench.records():
            if record.open_steps:
                assert bench.take_back() == []
        assert snapshot(of_file(bench)) == old, (nth, disk.log[-3:])
        fresh(bench, vendor)
        if not disk.hits:
            break


@pytest.mark.needs("keytool")
@pytest.mark.slow
def test_a_key_store_killed_or_out_of_room_at_any_operation(
    tmp_path: Path, vendor: authorities.Authority, jdks: list[Jdk]
) -> None:
    store = tmp_path / "stores" / "trust.jks"
    store.parent.mkdir()
    original = build(
        [Item("stranger", vendor.stranger.certificate.der), Item("key", chain=[vendor.leaf.certificate.der])]
    )
    store.write_bytes(original)
    bench = Bench([store], authorities.bundle(vendor), tmp_path / "state", keytools=[jdks[-1].keytool])

    def act(disk: Disk) -> None:
        bench.disk = disk
        bench.patch()

    for nth in killed_at_each(act, late=False):
        bench.disk = Disk()
        assert all(not left for _, left in bench.recover()), nth
        assert store.read_bytes() == original or bench.trusted() == [True]
        store.write_bytes(original)
        shutil.rmtree(bench.state, ignore_errors=True)
    for nth in itertools.count(1):
        store.write_bytes(original)
        shutil.rmtree(bench.state, ignore_errors=True)
        bench.disk = disk = FailingDisk(nth, ERRORS[0], persistent=True)
        with suppress(TrustError, OSError):
            bench.patch()
        bench.disk = Disk()
        assert store.read_bytes() == original or bench.trusted() == [True]
        bench.recover()
        if not disk.hits:
            break
    assert bench.trusted() == [True]
