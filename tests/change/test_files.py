"""Putting things at paths: in one step, through no link, over nothing else than was expected."""

from __future__ import annotations

import os
import stat
import threading
import time
from pathlib import Path

import pytest

from patching import snapshot
from trustmend.change.disk import Disk
from trustmend.change.files import ABSENT, Files, State, of_content
from trustmend.change.owner import Hands, as_user
from trustmend.errors import ChangedError

NOBODY = 65534
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="it is about what root does in other people's folders")


@pytest.fixture
def files() -> Files:
    return Files("/", Disk())


def wanted(content: bytes) -> State:
    return of_content(content, State("file", mode=0o644, uid=os.geteuid(), gid=os.getegid()))


def test_a_file_is_replaced_with_all_that_belongs_to_it(tmp_path: Path, files: Files) -> None:
    path = tmp_path / "store"
    path.write_bytes(b"old")
    path.chmod(0o640)
    os.setxattr(path, "user.note", b"kept")
    twin = tmp_path / "twin"
    os.link(path, twin)
    before, content = files.read(str(path))
    assert content == b"old"

    after = files.put(str(path), of_content(b"new", before), b"new", before, ".trustmend-1")

    assert path.read_bytes() == b"new"
    assert os.getxattr(path, "user.note") == b"kept"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert after == files.look(str(path))
    assert twin.read_bytes() == b"old"  # a hard link, as of a package cache, is left alone
    assert sorted(p.name for p in tmp_path.iterdir()) == ["store", "twin"]


def test_a_link_stands_where_one_stood_and_a_folder_comes_and_goes(tmp_path: Path, files: Files) -> None:
    path = str(tmp_path / "link")
    one, two = State("link", target="a", mode=0o777), State("link", target="b", mode=0o777)
    files.put(path, one, b"", ABSENT, ".trustmend-1")
    files.put(path, two, b"", one, ".trustmend-1")
    assert os.readlink(path) == "b"
    files.put(path, ABSENT, b"", two, ".trustmend-1")
    assert not os.path.lexists(path)

    folder = str(tmp_path / "folder")
    made = files.put(folder, State("folder", mode=0o750), b"", ABSENT, ".trustmend-1")
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o750
    files.put(folder, ABSENT, b"", made, ".trustmend-1")
    assert not os.path.lexists(folder)


def test_something_else_than_expected_is_left_alone(tmp_path: Path, files: Files) -> None:
    path = tmp_path / "store"
    path.write_bytes(b"old")
    seen = files.look(str(path))
    path.write_bytes(b"somebody else's")
    before = snapshot(tmp_path)

    with pytest.raises(ChangedError):
        files.put(str(path), of_content(b"new", seen), b"new", seen, ".trustmend-1")
    with pytest.raises(ChangedError):
        files.put(str(tmp_path / "other"), wanted(b"x"), b"x", seen, ".trustmend-1")
    with pytest.raises(ChangedError):
        files.put(str(path), ABSENT, b"", seen, ".trustmend-1")

    assert snapshot(tmp_path) == before


def test_no_link_on_the_way_is_followed(tmp_path: Path, files: Files) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "store").write_bytes(b"theirs")
    (tmp_path / "way").symlink_to("theirs")
    (tmp_path / "last").symlink_to("theirs/store")
    before = snapshot(tmp_path)

    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        files.put(str(tmp_path / "way" / "store"), wanted(b"x"), b"x", ABSENT, ".trustmend-1")
    with pytest.raises(ChangedError):
        files.put(
            str(tmp_path / "last"), wanted(b"x"), b"x", files.look(str(tmp_path / "theirs/store")), ".trustmend-1"
        )

    assert snapshot(tmp_path) == before


def test_a_reader_never_sees_a_mix(tmp_path: Path, files: Files) -> None:
    path = tmp_path / "store"
    contents = [b"a" * 300_000, b"b" * 200_000]
    path.write_bytes(contents[0])
    seen: set[bytes] = set()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(40):
            state = files.look(str(path))
            content = contents[(number + 1) % 2]
            files.put(str(path), of_content(content, state), content, state, ".trustmend-1")
    finally:
        stop.set()
        reader.join()

    assert seen <= set(contents)


def test_states_come_back_from_the_journal(tmp_path: Path, files: Files) -> None:
    odd = tmp_path / os.fsdecode(b"odd-\xff")
    odd.write_bytes(b"x")
    os.setxattr(odd, "user.bytes", bytes(range(256)))
    (tmp_path / "link").symlink_to(odd)

    for path in (odd, tmp_path / "link", tmp_path, tmp_path / "none"):
        state = files.look(str(path))
        assert State.from_json(state.to_json()) == state


@root_only
def test_whose_a_place_is(tmp_path: Path, files: Files) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    mine.mkdir()
    (theirs / "deep").mkdir(parents=True)
    os.chown(theirs, NOBODY, NOBODY)

    assert files.owner(str(mine / "store")) == (0, 0)
    assert files.owner(str(theirs / "deep" / "store")) == (NOBODY, NOBODY)
    mine.chmod(0o777)
    with pytest.raises(PermissionError):
        files.owner(str(mine / "store"))


@root_only
def test_root_works_in_a_users_folder_as_that_user(open_path: Path) -> None:
    theirs = open_path / "theirs"
    theirs.mkdir()
    store = theirs / "store"
    store.write_bytes(b"old")
    for path in (theirs, store):
        os.chown(path, NOBODY, NOBODY)
    secret = open_path / "secret"
    secret.write_bytes(b"root's alone")
    secret.chmod(0o600)
    hands = Hands(Files("/", Disk()))

    before = hands.look(str(store))
    hands.put(str(store), of_content(b"new", before), b"new", before, ".trustmend-1")

    assert (store.stat().st_uid, store.read_bytes()) == (NOBODY, b"new")
    with pytest.raises(PermissionError):
        as_user(NOBODY, NOBODY, secret.read_bytes)
    theirs.chmod(0o500)  # the user cannot write there, so root does not either
    now = hands.look(str(store))
    with pytest.raises(PermissionError):
        hands.put(str(store), of_content(b"newer", now), b"newer", now, ".trustmend-1")
    assert store.read_bytes() == b"new"


@root_only
def test_a_folder_that_is_swapped_for_a_link_in_a_race_leads_nowhere(tmp_path: Path) -> None:
    theirs, decoy, target = tmp_path / "theirs", tmp_path / "theirs" / "decoy", tmp_path / "etc"
    (theirs / "certs").mkdir(parents=True)
    target.mkdir()
    for folder in (theirs / "certs", target):
        (folder / "store").write_bytes(b"old")
    for path in (theirs, theirs / "certs", theirs / "certs" / "store"):
        os.chown(path, NOBODY, NOBODY)
    hands = Hands(Files("/", Disk()))
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            os.rename(theirs / "certs", decoy)
            os.symlink(target, theirs / "certs")
            os.unlink(theirs / "certs")
            os.rename(decoy, theirs / "certs")
            stop.wait(0.0005)

    attacker = threading.Thread(target=swap)
    attacker.start()
    try:
        done = number = 0
        until = time.monotonic() + 20
        while done < 50 and time.monotonic() < until:
            number += 1
            try:
                before, _ = hands.files.read(str(theirs / "certs" / "store"))
                content = b"%d" % number
                if before.kind == "file":
                    hands.files.put(str(theirs / "certs/store"), of_content(content, before), content, before, ".t")
                    done += 1
            except (OSError, ChangedError):
                continue
    finally:
        stop.set()
        attacker.join()

    assert done
    assert (target / "store").read_bytes() == b"old"
    assert [path.name for path in target.iterdir()] == ["store"]
