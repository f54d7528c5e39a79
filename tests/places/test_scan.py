"""Finding stores by content."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from places.planted import PEM, Root
from trustmend.host import Host
from trustmend.places import content, mounts, tree
from trustmend.places.sniff import is_store

JKS = bytes.fromhex("feedfeed00000002000000000000")
JCEKS = bytes.fromhex("cececece00000002000000000000")
PFX = bytes.fromhex("30820456020103308204")
PKCS12_BER = bytes.fromhex("3080020103308006")
DER = bytes.fromhex("3082056a30820352a003020102020c4caaf9cadb636fe01ff74ed85b")
NSS = b"SQLite format 3\x00" + bytes(100) + b"CREATE TABLE nssPublic"
STORES = {
    "plain": PEM,
    "trusted": PEM.replace(b"CERTIFICATE", b"TRUSTED CERTIFICATE"),
    "x509": PEM.replace(b"CERTIFICATE", b"X509 CERTIFICATE"),
    "pkcs7": PEM.replace(b"CERTIFICATE", b"PKCS7"),
    "after words": b"# a comment\r\n" * 20 + PEM,
    "bom": b"\xef\xbb\xbf" + PEM,
    "jks": JKS,
    "jceks": JCEKS,
    "pfx": PFX,
    "ber": PKCS12_BER,
    "der": DER,
    "nss": NSS,
}
OTHERS = {
    "empty": b"",
    "key": PEM.replace(b"CERTIFICATE", b"PRIVATE KEY"),
    "request": PEM.replace(b"CERTIFICATE", b"CERTIFICATE REQUEST"),
    "sqlite": b"SQLite format 3\x00" + bytes(100),
    "der key": bytes.fromhex("308204a40201000282010100"),
    "class": bytes.fromhex("cafebabe00000034"),
    "words": b"0 is where the text begins",
}


@pytest.mark.parametrize("name", STORES)
def test_a_store_is_known_by_its_head(name: str) -> None:
    assert is_store(STORES[name], "any name")


@pytest.mark.parametrize("name", OTHERS)
def test_other_files_are_not_stores(name: str) -> None:
    assert not is_store(OTHERS[name], "any.pem")


@given(st.binary(max_size=64), st.sampled_from([b"", b"\x30", b"\x30\x82", JKS[:5], DER[:9], NSS[:20], b"-----BEGIN "]))
def test_any_head_is_judged_without_an_error(tail: bytes, start: bytes) -> None:
    assert is_store(start + tail, "cert8.db") in (True, False)


def test_a_v1_certificate_in_der_is_one(tmp_path: Path) -> None:
    (tmp_path / "req.cnf").write_text("[req]\ndistinguished_name=dn\n[dn]\n")  # no extensions, and so version 1
    command = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=v1 -keyout key.pem -out cert.der -outform DER"
    subprocess.run([*command.split(), "-config", "req.cnf"], cwd=tmp_path, capture_output=True, check=True)

    assert is_store((tmp_path / "cert.der").read_bytes(), "cert.der")


@pytest.fixture
def root(tmp_path: Path) -> Root:
    root = Root(tmp_path / "root")
    for folder in range(300):
        root.file(f"/data/{folder}/{folder}/note.txt", b"nothing here")
    return root


def test_stores_are_found_whatever_they_are_called(root: Root) -> None:
    planted = {root.file(f"/data/{at}/{at}/file {at}", head) for at, head in enumerate(STORES.values())}
    planted.add(root.file("/data/late.pem", b"# words\n" * 2000 + PEM))
    planted.add(root.file(os.fsdecode(b"/data/caf\xe9\n"), PEM))
    for at, head in enumerate(OTHERS.values()):
        root.file(f"/data/{at}/other {at}", head)
    root.file("/data/quoted.py", PEM)

    scan = tree.scan(root.host, "/data")

    assert sorted(scan) == sorted(planted)
    assert scan.files == 300 + len(planted) + len(OTHERS) + 1
    assert scan.unreadable == 0


def test_each_inode_is_given_once_and_no_link_is_followed(root: Root, tmp_path: Path) -> None:
    first = root.file("/data/7/a.pem")
    os.link(root.folder / "data/7/a.pem", root.folder / "data/250/b.pem")
    root.link("/data/8/link.pem", "../7/a.pem")
    root.link("/data/loop", "..")
    root.link("/data/out", str(tmp_path))

    assert len(found := list(tree.scan(root.host, "/"))) == 1
    assert found[0] in (first, "/data/250/b.pem")


def test_pipes_sockets_and_vanished_folders_are_no_trouble(root: Root) -> None:
    os.mkfifo(root.folder / "data/pipe.pem")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(root.folder / "data/socket.pem"))
        path = root.file("/data/a.pem")

        assert list(tree.scan(root.host, "/data")) == [path]
    missing = tree.scan(root.host, "/nowhere")
    assert (list(missing), missing.unreadable) == ([], 1)


def test_a_single_file_is_a_tree(root: Root) -> None:
    path = root.file("/one", JKS)

    assert list(tree.scan(root.host, path)) == [path]


def test_pseudo_file_systems_of_a_root_are_left_out(root: Root) -> None:
    for folder in mounts.PSEUDO_FOLDERS:
        root.file(f"{folder}/a.pem")

    assert list(tree.scan(root.host, "/")) == []


def test_mounts_by_type() -> None:
    table = (
        b"1 0 0:1 / / rw - ext4 /dev/vda rw\n2 1 0:2 / /net/my\\040share rw shared:1 - nfs4 host:/x rw\n"
        b"3 1 0:3 / /data rw - xfs /dev/vdb rw\n4 1 0:4 / /odd/proc rw - proc proc rw\ngarbage\n"
    )

    assert mounts._points(table, frozenset(("nfs4", "proc")), "/") == {"/net/my share", "/odd/proc"}
    assert mounts._points(table, frozenset(("nfs4",)), "/net") == {"/my share"}


def test_a_killed_helper_loses_nothing(root: Root) -> None:
    planted = {root.file(f"/data/{at}/{at}/{at}.pem") for at in range(300)}
    script = (
        "import os, signal, sys\n"
        "from trustmend.host import Host\n"
        "from trustmend.places import content\n"
        "plain = content._help\n"
        "def dies(*all):\n"
        "    look = content._look_into\n"
        "    left = [9]\n"
        "    def counted(*a):\n"
        "        left[0] -= 1\n"
        "        left[0] or os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return look(*a)\n"
        "    content._look_into = counted\n"
        "    plain(*all)\n"
        "content._help = dies\n"
        "print(*sorted(content.Scan(Host(sys.argv[1]), '/data')), sep='\\n')\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", script, str(root.folder)],
        env={"PYTHONPATH": os.path.dirname(os.path.dirname(os.path.dirname(content.__file__)))},
        capture_output=True,
        text=True,
        check=True,
    )

    assert set(done.stdout.split()) == planted


def test_a_scan_may_be_left_early(root: Root) -> None:
    for at in range(300):
        root.file(f"/data/{at}/{at}/{at}.pem")
    scan = tree.scan(root.host, "/data")

    next(scan)
    scan.close()

    with pytest.raises(StopIteration):
        next(scan)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.skipif(os.geteuid() != 0, reason="as root only: it becomes another user in a child")
def test_unreadable_folders_are_counted(root: Root) -> None:
    root.file("/opt/app/site-packages/certifi/cacert.pem")
    root.file("/opt/closed/a.pem")
    root.file("/opt/shut.pem")
    os.chmod(root.folder / "opt/closed", 0)
    os.chmod(root.folder / "opt/shut.pem", 0)
    for folder in (root.folder, *list(root.folder.parents)[:-2]):
        folder.chmod(0o711)  # under pytest's own folder, which is root's alone
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            os.setresuid(65534, 65534, 65534)
            scan = tree.scan(root.host, "/opt")
            found = list(scan)
            known = tree.survey(root.host)
            os.write(writing, repr((found, scan.unreadable, known["bundles"], known["unreadable"])).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(pid, 0)
    said = os.read(reading, 65536).decode()
    os.close(reading)

    path = "/opt/app/site-packages/certifi/cacert.pem"
    assert said == repr(([path], 2, [path], ["/opt/closed"]))


def test_progress_counts_files(root: Root) -> None:
    said: list[int] = []

    scan = tree.scan(root.host, "/data", progress=said.append)
    list(scan)

    assert said == sorted(said)
    assert said[-1] <= scan.files == 300


def test_a_survey_by_a_child_is_the_survey(tmp_path: Path) -> None:
    root = Root(tmp_path / "planted")
    root.file("/opt/app/site-packages/certifi/cacert.pem")

    pending = tree.start_survey(root.host)

    assert pending.result() == tree.survey(root.host)
    assert pending.result()["bundles"] == ["/opt/app/site-packages/certifi/cacert.pem"]


def test_a_survey_whose_child_dies_is_made_here(tmp_path: Path) -> None:
    root = Root(tmp_path / "planted")
    root.file("/opt/app/site-packages/certifi/cacert.pem")
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        os.write(writing, b"half of a survey")
        os._exit(1)
    os.close(writing)

    assert tree.Pending(root.host, pid, reading).result() == tree.survey(root.host)


def test_an_unwanted_survey_leaves_no_process() -> None:
    pending = tree.start_survey(Host())

    pending.close()

    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
