"""What stands in the way of writing a store: each is named, with the remedy, and nothing is written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import shipped
from test_cli_patch import AAA, Site

privileged = pytest.mark.privileged


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def patched(site: Site, prepare: str, store: Path) -> tuple[int, str, str]:
    """Exit code, outputs joined, and the SHA-256 of the store's content, in a mount namespace prepared by a script."""
    script = f'{prepare}\nsha256sum <{store}\n"$@"; code=$?\nsha256sum <{store}\nls -A {store.parent}\nexit $code'
    words = [sys.executable, "-P", "-m", "trustmend", "--state-dir", str(site.state), "patch", "--yes", str(store)]
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", *words],
        env={"PYTHONPATH": str(shipped.ROOT / "src"), "HOME": "/nonexistent", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    lines = done.stdout.splitlines()
    digests = [line for line in lines if line.endswith("  -")]
    assert len(digests) == 2, done.stdout + done.stderr
    assert digests[0] == digests[1], "the store was changed"
    assert ".trustmend-" not in done.stdout
    return done.returncode, " ".join(done.stdout.split()), done.stderr


@privileged
@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        ("mount -t tmpfs -o size=1m tmpfs {folder}; printf %s \"$AAA\" >{store}; cat /dev/zero >{folder}/fill",
         "there is no room"),
        ("mount -t tmpfs tmpfs {folder}; printf %s \"$AAA\" >{store}; mount -o remount,ro {folder}", "is read-only"),
        ("cp {store} {folder}/other; mount --bind {folder}/other {store}", "mounted on its own"),
    ],
    ids=["full", "read-only", "single-file mount"],
)  # fmt: skip
def test_a_store_that_cannot_be_replaced_is_left_alone(site: Site, prepare: str, words: str) -> None:
    store = site.store("old.pem")
    script = f"AAA='{AAA.decode()}'\n" + prepare.format(folder=site.folder, store=store)

    code, out, _ = patched(site, script, store)

    assert code == 6
    assert words in out
    assert store.read_bytes() == AAA


@privileged
def test_a_full_state_folder_refuses_the_change(site: Site) -> None:
    store = site.store("old.pem", AAA * 200)
    prepare = f"mkdir {site.state}; mount -t tmpfs -o size=64k,mode=700 tmpfs {site.state}"

    code, _, err = patched(site, prepare, store)

    assert code in (4, 6)
    assert "backup could not be made" in err or "cannot be written" in err


@privileged
@pytest.mark.needs("chattr")
def test_an_immutable_store_is_named_with_the_way_to_free_it(site: Site) -> None:
    store = site.store("old.pem")
    subprocess.run(["chattr", "+i", store], check=True)
    try:
        told = site.patch(store)
    finally:
        subprocess.run(["chattr", "-i", store], check=True)

    assert told.code == 6
    assert "immutable (chattr +i)" in told.out
    assert f"chattr -i {store}" in " ".join(told.out.split())
    assert store.read_bytes() == AAA


def test_of_a_hard_linked_store_only_the_named_file_is_replaced(site: Site) -> None:
    store = site.store("cacert.pem")
    cache = site.folder / "package-cache.pem"
    os.link(store, cache)

    told = site.run("patch", "--dry-run", store)
    assert "2 names (hard links" in told.out
    assert site.patch(store).code == 0

    assert cache.read_bytes() == AAA
    assert store.read_bytes() != AAA
