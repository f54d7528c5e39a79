"""The throwaway systems, the clients and the layouts that other tests stand on do what they promise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import authority
import certificates
from hosts import clients, layouts
from hosts.clients import ClientError
from hosts.layouts import Layout
from hosts.machine import REPOSITORY, Guest, Session, machine_session
from hosts.manifest import differences, manifest
from hosts.tool import Tool, on_machine

pytestmark = [pytest.mark.privileged, pytest.mark.needs("nsenter", "ip")]
GUESTS = {
    "bullseye": {"curl", "wget", "python3", "openssl", "java-11"},
    "bookworm_java": {"curl", "wget", "python3", "node", "openssl", "java-17"},
    "trixie": {"curl", "wget", "python3", "openssl", "java-21", "java-25"},
}
VENDOR = authority.make()
CHAIN = clients.chain_from(VENDOR.issuing)


@pytest.fixture(scope="module")
def shared(bookworm_java: Guest) -> Iterator[Session]:
    """One session for the tests that leave it as it was, or that do not mind."""
    with bookworm_java.session() as session:
        yield session


def shell(session: Session, script: str) -> str:
    """What a script says; it has to end well."""
    done = session.run(["sh", "-euc", script])
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def put(session: Session, path: str, content: bytes) -> None:
    """Write a file of the session from outside."""
    Path(session.path(path)).write_bytes(content)


def soon(true: Callable[[], bool]) -> bool:
    """Whether it becomes true within some seconds."""
    until = time.monotonic() + 10
    while not (found := true()) and time.monotonic() < until:
        time.sleep(0.05)
    return found


def test_a_session_keeps_what_its_commands_change_and_forgets_it_at_the_end(bookworm: Guest) -> None:
    places = ["/etc", "/tmp", "/dev/shm", "/usr/local"]  # noqa: S108 # the session's own
    with bookworm.session() as session:
        fresh = session.manifest(places)
        shell(session, "rm -r /etc/apt; echo >>/etc/passwd; touch /tmp/new /dev/shm/new /usr/local/new")
        kept = shell(session, "ls -d /etc/apt /tmp/new /dev/shm/new /usr/local/new 2>/dev/null || true").split()
        changed = differences(fresh, session.manifest(places))
    with bookworm.session() as session:
        again = session.manifest(places)

    assert kept == ["/dev/shm/new", "/tmp/new", "/usr/local/new"]  # noqa: S108
    assert any(line.startswith("removed /etc/apt") for line in changed)
    assert differences(fresh, again) == []
    assert not os.path.exists(f"{bookworm.root}/usr/local/new")
    assert not os.path.exists("/dev/shm/new")  # noqa: S108


def test_the_copy_of_the_machine_is_whole_and_leaves_the_machine_alone(tmp_path: Path) -> None:
    places = ["/etc/ssl", f"{REPOSITORY}/scripts", f"{sys.prefix}/bin"]
    before = manifest(places, str)
    tool = on_machine()
    with machine_session(binds=tool.binds) as session:
        copied = session.manifest(places)
        started = session.run([*tool.argv, "--version"], environ=tool.environ)
        shell(
            session,
            f"rm -r /etc/ssl {REPOSITORY}/scripts || true; touch /dev/shm/trustmend-test; mkdir -p {tmp_path}/new",
        )

    assert differences(before, copied) == []
    assert started.stdout.startswith(b"trustmend "), started.stderr
    assert differences(before, manifest(places, str)) == []
    assert not os.path.exists("/dev/shm/trustmend-test")  # noqa: S108
    assert not (tmp_path / "new").exists()


def test_a_session_has_the_loopback_alone_unless_it_is_given_the_network(bookworm: Guest) -> None:
    names = "cut -d: -f1 /proc/net/dev | tail -n +3; readlink /proc/self/ns/net"
    with bookworm.session() as session:
        own = shell(session, names).split()
    with bookworm.session(network=True) as session:
        given = shell(session, names).split()

    assert own[0] == "lo"
    assert len(own) == 2
    assert given[-1] == os.readlink("/proc/self/ns/net") != own[-1]


def test_a_command_gets_what_it_is_given_and_nothing_else(shared: Session) -> None:
    script = "import os, sys; print(sorted(os.environ), os.getcwd(), sys.stdin.read()); sys.exit(7)"

    done = shared.run(["python3", "-c", script], environ={"MORE": "x"}, stdin=b"said")

    assert done.returncode == 7
    assert done.stdout.decode() == "['HOME', 'LC_ALL', 'MORE', 'PATH'] / said\n"


def test_a_command_that_takes_too_long_is_killed_with_what_it_started(shared: Session) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        shared.run(["sh", "-c", "sleep 611 & sleep 612"], timeout_s=0.5)

    names = "cat /proc/[0-9]*/comm 2>/dev/null || true"  # a process may end between its number and its name
    assert soon(lambda: "sleep" not in shell(shared, names))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_a_command_and_its_end_is_seen(shared: Session, number: signal.Signals) -> None:
    process = shared.start(["sleep", "611"])

    shared.send(process, number)

    assert process.wait(10) == -number


def test_all_that_runs_ends_with_the_session(bookworm: Guest) -> None:
    with bookworm.session() as session:
        process = session.start(["sh", "-c", "setsid sleep 611 & echo up; sleep 612"])
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"  # it has come in before the session ends
        pid = session.pid

    assert process.returncode == -signal.SIGKILL
    assert not os.path.exists(f"/proc/{pid}")


def test_a_session_does_not_outlive_a_test_run_that_is_killed(bookworm: Guest) -> None:
    script = (
        "import sys, time; sys.path.insert(0, sys.argv[2]); from hosts.machine import Guest\n"
        "with Guest(sys.argv[1]).session() as session: print(session.pid, flush=True); time.sleep(600)"
    )
    argv = [sys.executable, "-I", "-c", script, bookworm.root, f"{REPOSITORY}/tests"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()

    assert soon(lambda: not os.path.exists(f"/proc/{pid}"))


def test_what_is_bound_is_seen_and_cannot_be_written(bookworm: Guest, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("ours")
    binds = {str(tmp_path): "/srv/a/b", f"{tmp_path}/file": "/etc/deep/er/file"}
    with bookworm.session(binds=binds) as session:
        seen = shell(session, "cat /srv/a/b/file /etc/deep/er/file")
        done = session.run(["sh", "-c", "touch /srv/a/b/new; echo >>/etc/deep/er/file"])

    assert seen == "oursours"
    assert done.stderr.count(b"Read-only file system") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("inside", "follow", "found"),
    [
        ("/srv/file", True, "/srv/file"),
        ("/srv/absolute", True, "/srv/file"),
        ("/srv/absolute", False, "/srv/absolute"),
        ("/srv/relative", True, "/srv/folder/file"),
        ("/srv/to-folder/file", False, "/srv/folder/file"),
        ("/srv/above/etc/hostname", True, "/etc/hostname"),
        ("/srv/folder/../file", True, "/srv/file"),
        ("/srv/missing/name", True, "/srv/missing/name"),
        ("/", True, "/"),
    ],
)
def test_links_on_the_way_stay_inside_the_session(shared: Session, inside: str, follow: bool, found: str) -> None:
    shell(
        shared,
        "cd /srv; mkdir -p folder; touch file folder/file; ln -sfn /srv/file absolute; ln -sfn folder/file relative;"
        "ln -sfn /srv/folder to-folder; ln -sfn ../../../.. above",
    )

    assert shared.path(inside, follow=follow) == f"/proc/{shared.pid}/root{found}"


def test_links_in_a_circle_are_an_error(shared: Session) -> None:
    shell(shared, "ln -sfn /srv/two /srv/one; ln -sfn /srv/one /srv/two")

    with pytest.raises(OSError, match="symbolic links"):
        shared.path("/srv/one")


CHANGES = {
    "echo x >>/m/file": "changed /m/file: content ",
    "chmod 4600 /m/file": "changed /m/file: mode 0644 -> 4600",
    "chown 5:6 /m/file": "changed /m/file: uid 0 -> 5, gid 0 -> 6",
    "chmod 700 /m/folder": "changed /m/folder: mode 0755 -> 0700",
    "ln /m/file /m/second": "added /m/second: file 0644 0:0 2 links\nchanged /m/file: links 1 -> 2",
    "ln -sfn other /m/link": "changed /m/link: target file -> other",
    "chown -h 5 /m/link": "changed /m/link: uid 0 -> 5",
    "rm /m/link": "removed /m/link: link 0777 0:0 -> file",
    "touch /m/folder/new": "added /m/folder/new: file 0644 0:0",
    "mkfifo /m/pipe": "added /m/pipe: pipe 0644 0:0",
    "rm /m/file; mkdir /m/file": "changed /m/file: type file -> folder, mode 0644 -> 0755, content ",
    "cp /m/file /m/copy; mv /m/copy /m/file": "",  # the same in all that counts
    "touch -d 2001-01-01 /m/file": "",  # times are left out
}


@pytest.mark.parametrize(("script", "said"), CHANGES.items(), ids=CHANGES.keys())
def test_the_manifest_sees_each_kind_of_change(shared: Session, script: str, said: str) -> None:
    shell(shared, "rm -rf /m; mkdir -p /m/folder; echo >/m/file; ln -s file /m/link")
    before = shared.manifest(["/m"])

    shell(shared, script)

    lines = sorted(differences(before, shared.manifest(["/m"])))
    assert len(lines) == len(said.splitlines())
    assert all(line.startswith(start) for line, start in zip(lines, sorted(said.splitlines()), strict=True)), lines


@pytest.mark.parametrize("name", ["user.note", "security.selinux", "trusted.note", "system.posix_acl_access"])
def test_the_manifest_sees_attributes(shared: Session, name: str) -> None:
    # An ACL (version 2): owner rw, user 7 r, group r, mask r, others none.
    entries = [(1, 6, -1), (2, 4, 7), (4, 4, -1), (16, 4, -1), (32, 0, -1)]
    acl = bytes((2, 0, 0, 0)) + b"".join(
        tag.to_bytes(2, "little") + rights.to_bytes(2, "little") + number.to_bytes(4, "little", signed=True)
        for tag, rights, number in entries
    )
    put(shared, "/srv/attributed", b"")
    Path(shared.path("/srv/attributed")).chmod(0o640)
    before = shared.manifest(["/srv/attributed"])

    os.setxattr(shared.path("/srv/attributed"), name, acl if "acl" in name else b"value")

    (line,) = differences(before, shared.manifest(["/srv/attributed"]))
    os.removexattr(shared.path("/srv/attributed"), name)
    assert line.startswith(f"changed /srv/attributed: xattrs {{}} -> {{'{name}': b'")


def test_the_manifest_stays_in_its_file_system_and_follows_no_link(bookworm: Guest) -> None:
    with bookworm.session() as session:
        shell(session, "mkdir /m; ln -s /usr /m/to-usr")
        found = session.manifest(["/", "/nowhere"])

    assert found["/proc"].type == "folder"
    assert found["/m/to-usr"].target == "/usr"
    assert len(found["/usr/bin/env"].sha256) == 64
    assert not [path for path in found if path.startswith(("/proc/", "/dev/", "/tmp/", "/m/to-usr/", "/nowhere"))]  # noqa: S108


def test_the_layer_behaves_as_a_plain_file_system(bookworm: Guest) -> None:
    script = """
import os
os.rename("/usr/share/doc", "/usr/share/moved")  # not EXDEV
number = os.stat("/etc/debian_version").st_ino
os.link("/etc/debian_version", "/etc/second")
with open("/etc/second", "a") as file:
    file.write("more")
with open("/etc/debian_version") as file:
    assert file.read().endswith("more")
assert os.stat("/etc/debian_version").st_ino == number == os.stat("/etc/second").st_ino
assert os.stat("/etc/debian_version").st_dev == os.stat("/etc").st_dev == os.stat("/usr/bin/env").st_dev
"""
    with bookworm.session() as session:
        done = session.run(["python3", "-c", script])

    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("guest", ["bookworm_java", "trixie"])
def test_trustmend_runs_in_guests_and_does_not_count_itself(
    guest: str, request: pytest.FixtureRequest, tool_in: Callable[[Guest], Tool]
) -> None:
    system: Guest = request.getfixturevalue(guest)
    tool = tool_in(system)
    with system.session(binds=tool.binds) as session:
        done = session.run([*tool.argv, "audit"], environ=tool.environ)

    assert done.returncode in (0, 3), done.stderr.decode()
    assert b"/etc/ssl/certs/java/cacerts" in done.stdout
    assert b"/var/cache" not in done.stdout


@pytest.mark.slow
@pytest.mark.needs("javac")
@pytest.mark.parametrize("guest", GUESTS)
def test_every_client_trusts_a_root_once_debian_has_taken_it_in(guest: str, request: pytest.FixtureRequest) -> None:
    system: Guest = request.getfixturevalue(guest)
    with system.session() as session:
        before = clients.ask(session, CHAIN)
        put(session, "/usr/local/share/ca-certificates/new.crt", VENDOR.new.pem)
        shell(session, "update-ca-certificates")
        after = clients.ask(session, CHAIN)
        stranger = certificates.intermediate(VENDOR.stranger)
        other = clients.ask(session, clients.chain_from(stranger))
        elsewhere = certificates.leaf(VENDOR.issuing, "elsewhere.example")
        with pytest.raises(ClientError) as misnamed:
            clients.ask(session, (elsewhere, VENDOR.issuing))

    assert before == dict.fromkeys(GUESTS[guest], False)
    assert after == dict.fromkeys(GUESTS[guest], True)
    assert other == dict.fromkeys(GUESTS[guest], False)
    assert {line.partition(" ")[0] for line in str(misnamed.value).splitlines()} == GUESTS[guest]


@pytest.mark.slow
@pytest.mark.needs("javac")
def test_a_client_that_has_lost_its_store_is_an_error_and_no_answer(bookworm_java: Guest) -> None:
    with bookworm_java.session() as session:
        shell(session, "rm /etc/ssl/certs/ca-certificates.crt; truncate -s 0 /etc/ssl/certs/java/cacerts")
        with pytest.raises(ClientError) as lost:
            clients.ask(session, CHAIN)

    assert [line.partition(" ")[0] for line in str(lost.value).splitlines()] == ["curl", "java-17"]


@pytest.mark.slow
@pytest.mark.needs("javac")
@pytest.mark.parametrize("layout", layouts.LAYOUTS, ids=lambda layout: layout.name)
def test_the_command_of_a_layout_makes_all_its_artifacts(layout: Layout, bookworm_java: Guest) -> None:
    everywhere = ["/etc", "/usr/share", "/usr/local", "/var/lib"]
    with bookworm_java.session() as session:
        shipped = len(os.listdir(session.path("/usr/share/ca-certificates/mozilla")))
        layout.build(session)
        before = clients.ask(session, CHAIN)
        built = session.manifest(everywhere)
        bundle = Path(session.path(layout.artifacts[0])).read_bytes()
        put(session, f"{layout.source}/new{layout.suffix}", VENDOR.new.pem)
        shell(session, " ".join(layout.command))
        after = clients.ask(session, CHAIN)
        changed = differences(built, session.manifest(everywhere))

    assert bundle.count(b"-----BEGIN CERTIFICATE-----") == shipped > 100
    assert before == dict.fromkeys(GUESTS["bookworm_java"], False)
    assert after == dict.fromkeys(GUESTS["bookworm_java"], True)
    for artifact in layout.artifacts:
        assert any(line.startswith((f"changed {artifact}:", f"added {artifact}/")) for line in changed), artifact
    assert not [line for line in changed if line.startswith("removed")]
    assert "/var/lib/dpkg" not in built


@pytest.mark.slow
def test_arch_has_its_command_by_p11_kits_name_too(bookworm_java: Guest) -> None:
    with bookworm_java.session() as session:
        layouts.ARCH.build(session)
        put(session, f"{layouts.ARCH.source}/new.pem", VENDOR.new.pem)
        shell(session, "trust extract-compat")

        assert VENDOR.new.pem in Path(session.path("/etc/ssl/certs/ca-certificates.crt")).read_bytes()


@pytest.mark.slow
def test_alpines_command_takes_every_name_and_no_folder(bookworm_java: Guest) -> None:
    source = layouts.ALPINE.source
    with bookworm_java.session() as session:
        layouts.ALPINE.build(session)
        before = session.manifest(["/etc/ssl/certs"])
        shell(session, f"mkdir {source}/folder")
        for name, made in (
            ("plain", VENDOR.new),
            ("a b,c(d).crt", VENDOR.old),
            ("folder/deep.crt", VENDOR.stranger),
            (".hidden.crt", VENDOR.expired),
        ):
            put(session, f"{source}/{name}", made.pem)
        said = session.run(layouts.ALPINE.command).stderr.decode()
        made_links = session.manifest(["/etc/ssl/certs"])
        bundle = Path(session.path("/etc/ssl/certs/ca-certificates.crt")).read_bytes()
        shell(session, f"rm -r {source}/*; {layouts.ALPINE.command[0]}")
        again = session.manifest(["/etc/ssl/certs"])

    links = {path.rpartition("/")[2]: row.target for path, row in made_links.items() if row.target.startswith(source)}
    assert links == {
        "ca-cert-plain.pem": f"{source}/plain",
        "ca-cert-a_b_c=d=.pem": f"{source}/a b,c(d).crt",
        "ca-cert-folder.pem": f"{source}/folder",
    }
    assert f"Warning! Cannot copy to bundle: {source}/folder" in said
    assert VENDOR.new.pem in bundle
    assert VENDOR.old.pem in bundle
    assert VENDOR.stranger.pem not in bundle
    assert VENDOR.expired.pem not in bundle
    assert [line.partition(":")[0] for line in differences(before, again)] == ["changed /etc/ssl/certs/java/cacerts"]
