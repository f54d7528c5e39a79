"""Owners of files: against the real package managers where this machine has them, else on databases of their form."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosts.machine import Guest
from places.planted import Root
from trustmend.errors import ReadError
from trustmend.host import Finished, Host
from trustmend.places.packages import Package, owners


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path / "root")


def owner(root: Root, path: str) -> Package | None:
    """The one path's owner."""
    return owners(root.host, [path]).get(path)


# dpkg


def asked(names: Iterable[str]) -> dict[str, set[str]]:
    """`dpkg-query -S` output: path -> names of packages, without architectures."""
    answer: dict[str, set[str]] = {}
    for line in names:
        who, _, path = line.partition(": ")
        if path and not line.startswith("diversion by "):
            answer.setdefault(path, set()).update(one.partition(":")[0] for one in who.split(", "))
    return answer


def one_file_of_each_package(folder: str) -> list[str]:
    """A path, as listed, of every package that dpkg knows below the root `folder`; not a folder's."""
    chosen = []
    for name in sorted(os.listdir(f"{folder}/var/lib/dpkg/info")):
        if name.endswith(".list"):
            lines = Path(f"{folder}/var/lib/dpkg/info/{name}").read_text().splitlines()
            files = [line for line in lines if os.path.isfile(folder + line) and not os.path.islink(folder + line)]
            chosen += files[-1:] + [line for line in files if line.startswith(("/lib/", "/bin/"))][:1]
    return chosen


@pytest.mark.needs("dpkg-query")
def test_dpkg_says_the_same_of_a_file_of_each_package() -> None:
    listed = one_file_of_each_package("")
    said = subprocess.run(["dpkg-query", "-S", *listed], capture_output=True, text=True, check=True).stdout
    versions = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${Version}\n"], capture_output=True, text=True, check=True
    ).stdout.splitlines()

    found = owners(Host.of(None), [os.path.realpath(path) for path in listed])

    expected = asked(said.splitlines())
    assert len(found) == len({os.path.realpath(path) for path in listed}) > 50
    for path in listed:
        package = found[os.path.realpath(path)]
        assert package.manager == "dpkg"
        assert package.name in expected[path], path
        assert f"{package.name} {package.version}" in versions


@pytest.mark.privileged
def test_dpkg_of_another_root_says_the_same(trixie: Guest) -> None:
    listed = one_file_of_each_package(trixie.root)
    expected = asked(trixie.run(["dpkg-query", "-S", *listed]).stdout.decode().splitlines())
    host = Host.of(trixie.root)

    found = owners(host, [host.resolve(path) for path in listed])

    assert len(listed) > 50
    for path in listed:
        assert found[host.resolve(path)].name in expected[path], path


def dpkg(root: Root, *packages: str, **lists: Sequence[str]) -> None:
    """Plant a dpkg database; `libfoo__amd64` is the list of libfoo:amd64."""
    stanzas = packages or tuple(f"Package: {name}\nStatus: install ok installed\nVersion: 1.2-3\n" for name in lists)
    root.file("/var/lib/dpkg/status", "\n".join(stanzas).encode())
    for name, paths in lists.items():
        content = "".join(f"{line}\n" for line in ["/.", *paths]).encode("utf-8", "surrogateescape")
        root.file(f"/var/lib/dpkg/info/{name.replace('__', ':')}.list", content)


def test_a_path_is_found_whole_and_not_as_a_part_of_another(root: Root) -> None:
    dpkg(root, one=["/usr/share/x", "/usr/share/x/ca.pem.bak", "/opt/usr/share/x/ca.pem"], two=["/usr/share/x/ca.pem"])

    assert owner(root, "/usr/share/x/ca.pem") == Package("dpkg", "two", "1.2-3")
    assert owner(root, "/usr/share/x/ca") is None


def test_a_name_that_is_not_utf8(root: Root) -> None:
    dpkg(root, one=["/usr/share/\udcff.pem"])

    assert owner(root, "/usr/share/\udcff.pem") == Package("dpkg", "one", "1.2-3")


@pytest.mark.parametrize("listed", ["/lib/x/ca.pem", "/usr/lib/x/ca.pem"])
@pytest.mark.parametrize("given", ["/lib/x/ca.pem", "/usr/lib/x/ca.pem"])
def test_a_merged_usr_is_one_folder_with_two_spellings(root: Root, listed: str, given: str) -> None:
    root.file("/usr/lib/x/ca.pem")
    root.link("/lib", "usr/lib")
    dpkg(root, one=[listed])

    assert owner(root, given) == Package("dpkg", "one", "1.2-3")


def test_without_a_merged_usr_they_are_two_folders(root: Root) -> None:
    root.file("/lib/x/ca.pem")
    dpkg(root, one=["/lib/x/ca.pem"])

    assert owner(root, "/usr/lib/x/ca.pem") is None


@pytest.mark.parametrize("merged", [False, True])
def test_a_diverted_file_belongs_to_whoever_lies_there(root: Root, merged: bool) -> None:
    root.file("/usr/lib/x/ca.pem")
    spelled = "/usr/lib/x/ca.pem"
    if merged:
        root.link("/lib", "usr/lib")
        spelled = "/lib/x/ca.pem"
    dpkg(root, mine=["/usr/lib/x/ca.pem"], theirs=["/usr/lib/x/ca.pem"])
    root.file("/var/lib/dpkg/diversions", f"{spelled}\n{spelled}.theirs\nmine\n".encode())

    assert owner(root, "/usr/lib/x/ca.pem") == Package("dpkg", "mine", "1.2-3")
    assert owner(root, "/usr/lib/x/ca.pem.theirs") == Package("dpkg", "theirs", "1.2-3")


def test_what_the_administrator_put_in_the_place_of_a_diverted_file_is_nobodys(root: Root) -> None:
    dpkg(root, theirs=["/usr/share/ca.pem"])
    root.file("/var/lib/dpkg/diversions", b"/usr/share/ca.pem\n/usr/share/ca.pem.distrib\n:\n")

    assert owner(root, "/usr/share/ca.pem") is None
    assert owner(root, "/usr/share/ca.pem.distrib") == Package("dpkg", "theirs", "1.2-3")


def test_the_version_is_that_of_the_lists_architecture(root: Root) -> None:
    stanzas = [
        f"Package: libca\nStatus: install ok installed\nArchitecture: {arch}\nVersion: 1:{n}.0~rc1+b{n}\n"
        for n, arch in enumerate(("i386", "amd64"), start=1)
    ]
    dpkg(root, *stanzas, libca__amd64=["/usr/lib/x86_64-linux-gnu/ca.pem"])

    found = owner(root, "/usr/lib/x86_64-linux-gnu/ca.pem")

    assert found == Package("dpkg", "libca", "1:2.0~rc1+b2")
    assert found.words == "libca 1:2.0~rc1+b2 (dpkg)"


def test_a_folder_that_packages_share_is_nobodys(root: Root) -> None:
    dpkg(root, one=["/etc/ssl/certs"], two=["/etc/ssl/certs"])

    assert owner(root, "/etc/ssl/certs") is None


def test_a_file_that_two_architectures_share_is_their_packages(root: Root) -> None:
    stanza = "Package: libca\nStatus: install ok installed\nArchitecture: {}\nVersion: 1.2-3\n"
    shared = ["/usr/share/libca/ca.pem"]
    dpkg(root, stanza.format("amd64"), stanza.format("i386"), libca__amd64=shared, libca__i386=shared)

    assert owner(root, "/usr/share/libca/ca.pem") == Package("dpkg", "libca", "1.2-3")


def test_a_removed_package_owns_nothing(root: Root) -> None:
    dpkg(root, "Package: one\nStatus: deinstall ok config-files\nVersion: 1\n", one=["/etc/one/ca.pem"])

    assert owner(root, "/etc/one/ca.pem") is None


def test_a_list_without_a_status_is_an_owner_without_a_version(root: Root) -> None:
    root.file("/var/lib/dpkg/info/one.list", b"/.\n/usr/share/ca.pem\n")

    found = owner(root, "/usr/share/ca.pem")

    assert found == Package("dpkg", "one")
    assert found.words == "one (dpkg)"


def test_a_list_that_is_far_too_large_or_no_file_owns_nothing(root: Root) -> None:
    dpkg(root, fifo=[], folder=[], large=["/usr/share/ca.pem"], small=["/usr/share/ca.pem"])
    info = root.folder / "var/lib/dpkg/info"
    os.truncate(info / "large.list", 40 << 20)
    for name in ("fifo", "folder"):
        (info / f"{name}.list").unlink()
    os.mkfifo(info / "fifo.list")
    (info / "folder.list").mkdir()

    assert owner(root, "/usr/share/ca.pem") == Package("dpkg", "small", "1.2-3")


# apk: the records of Alpine 3.14's base image, shortened

ALPINE = b"""\
P:libcrypto1.1
V:1.1.1k-r0
F:etc
F:etc/ssl
R:openssl.cnf
F:etc/ssl/certs
F:lib
R:libcrypto.so.1.1

C:Q1E9yWFHAOxmxU1L6k4XavnfGyNxc=
P:ca-certificates-bundle
V:20191127-r5
o:ca-certificates
F:etc
F:etc/ssl
R:cert.pem
a:0:0:777
F:etc/ssl/certs
R:ca-certificates.crt
Z:Q1yxhc/Gjt/YEWliIZBXQz/RBrszU=

P:zlib
V:1.2.11-r3
F:
R:top.pem
F:lib
R:libz.so.1
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/etc/ssl/certs/ca-certificates.crt", "ca-certificates-bundle 20191127-r5 (apk)"),
        ("/etc/ssl/cert.pem", "ca-certificates-bundle 20191127-r5 (apk)"),
        ("/lib/libcrypto.so.1.1", "libcrypto1.1 1.1.1k-r0 (apk)"),
        ("/lib/libz.so.1", "zlib 1.2.11-r3 (apk)"),
        ("/top.pem", "zlib 1.2.11-r3 (apk)"),
        ("/etc/ssl/certs/cert.pem", None),  # of another folder
        ("/etc/ssl/certs/openssl.cnf", None),
        ("/usr/lib/libz.so.1", None),
    ],
)
@pytest.mark.parametrize("database", ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"])
def test_apk(root: Root, database: str, path: str, expected: str | None) -> None:
    root.file(database, ALPINE)

    found = owner(root, path)

    assert (found.words if found else None) == expected


# pacman: what pacman 7.0 wrote for a package


def test_pacman(root: Root) -> None:
    files = b"%FILES%\netc/\netc/pt.conf\nusr/\nusr/lib/\nusr/lib/pt/\nusr/lib/pt/ca.pem\n\n"
    files += b"%BACKUP%\netc/pt.conf\t2cd6ee2c\n\n"
    desc = b"%NAME%\npt-test\n\n%VERSION%\n1:1.0-2\n\n%BASE%\npt-test\n\n%DESC%\n\n\n%XDATA%\npkgtype=pkg\n\n"
    root.file("/var/lib/pacman/local/pt-test-1:1.0-2/files", files)
    root.file("/var/lib/pacman/local/pt-test-1:1.0-2/desc", desc)
    root.file("/var/lib/pacman/local/ALPM_DB_VERSION", b"9\n")

    found = owners(root.host, ["/usr/lib/pt/ca.pem", "/etc/pt.conf", "/etc/pt.conf\t2cd6ee2c", "/usr/lib/pt"])

    assert found == dict.fromkeys(("/usr/lib/pt/ca.pem", "/etc/pt.conf"), Package("pacman", "pt-test", "1:1.0-2"))


# rpm: what rpm 4.20 answered, with the double of a machine that has one


@dataclass(frozen=True)
class RpmMachine(Host):
    """A planted root that is this machine's own, with an rpm that gives one answer."""

    answer: bytes | None = None
    safe: bool = True
    asked: list[tuple[str, ...]] = field(default_factory=list)

    @property
    def foreign(self) -> bool:
        """A machine's own root, although it is a folder."""
        return False

    def stat(self, path: str) -> os.stat_result:
        """Below the folder."""
        return os.stat(self.root + path)

    def names(self, path: str) -> list[str]:
        """Below the folder."""
        return sorted(os.listdir(self.root + path))

    def safe_to_run(self, path: str) -> bool:
        """As the test says."""
        return self.safe

    def run(
        self,
        argv: Sequence[str],
        *,
        environ: Mapping[str, str],
        timeout_s: float,
        stdin: bytes = b"",
        chroot: bool = False,
        inherit: Sequence[int] = (),
    ) -> Finished:
        """The answer; or out of time."""
        self.asked.append(tuple(argv))
        assert set(environ) == {"PATH", "LC_ALL", "HOME"}
        if self.answer is None:
            raise ReadError("out of time")
        return Finished(tuple(argv), 2, self.answer, b"error: file /nope: No such file or directory\n")


ANSWER = (
    b"ca-certificates\t2023.2.60_v7.0.306-90.1.el9_2\t/etc/pki/ca-trust/extracted/java/cacerts\n"
    b"ca-certificates\t2023.2.60_v7.0.306-90.1.el9_2\t/usr/share/pki/a b.pem\n"
    b"file /etc/hostname is not owned by any package\n"
    b"ca-certificates\t2023.2.60_v7.0.306-90.1.el9_2\t/etc/pki/ca-trust/extracted/java/cacerts\n"
    b"ca-certificates\t2023.2.60_v7.0.306-90.1.el9_2\t/etc/pki/tls/certs\n"
    b"openssl\t1-1\t/etc/pki/tls/certs\n"
    b"\n\xff\t\t\n\t\t/etc/hostname\n"
)
PATHS = [
    "/etc/pki/ca-trust/extracted/java/cacerts",
    "/usr/share/pki/a b.pem",
    "/etc/hostname",
    "/nope",
    "/etc/pki/tls/certs",  # a folder of several packages
]


def test_rpm_is_asked_once_for_all(root: Root) -> None:
    root.file("/var/lib/rpm/rpmdb.sqlite")
    machine = RpmMachine(str(root.folder), answer=ANSWER)

    found = owners(machine, PATHS)

    assert found == dict.fromkeys(PATHS[:2], Package("rpm", "ca-certificates", "2023.2.60_v7.0.306-90.1.el9_2"))
    assert [argv[:3] for argv in machine.asked] == [("/usr/bin/rpm", "-qf", "--qf")]
    assert list(machine.asked[0][4:]) == sorted(PATHS)


@pytest.mark.parametrize("machine", ["no database", "unsafe", "foreign", "out of time"])
def test_where_rpm_is_not_to_be_asked_it_owns_nothing(root: Root, machine: str) -> None:
    if machine != "no database":
        root.file("/var/lib/rpm/rpmdb.sqlite")
    folder = str(root.folder)
    host = {
        "no database": RpmMachine(folder, answer=ANSWER),
        "unsafe": RpmMachine(folder, answer=ANSWER, safe=False),
        "foreign": Host(folder),
        "out of time": RpmMachine(folder),
    }[machine]

    assert owners(host, PATHS) == {}


# all of them


def test_no_path_and_no_database_is_no_owner(root: Root) -> None:
    assert owners(root.host, []) == {}
    assert owners(root.host, ["relative", "/nowhere/ca.pem", "/" + "a/" * 1500 + "ca.pem"]) == {}


PARTS = st.sampled_from(
    b"\n|\n\n|P:a|V:1|\nF:etc|\nR:ca.pem\n|/etc/ca.pem|\netc/ca.pem\n|%FILES%|%NAME%\n|Package: a\n|Status: |{|"
    b'"files"|"etc/ca.pem"|a,|\0|\xff|Name: a|:'.split(b"|")
)


@given(content=st.lists(PARTS | st.binary(max_size=9), max_size=30).map(b"".join))
def test_any_bytes_are_read_without_a_crash(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = Root(tmp_path_factory.mktemp("root"))
    for path in (
        "/var/lib/dpkg/status",
        "/var/lib/dpkg/diversions",
        "/var/lib/dpkg/info/a.list",
        "/lib/apk/db/installed",
        "/var/lib/pacman/local/a-1/files",
        "/var/lib/pacman/local/a-1/desc",
        "/opt/e/conda-meta/a-1-0.json",
        "/opt/e/lib/python3/site-packages/a-1.dist-info/RECORD",
        "/opt/e/lib/python3/site-packages/a-1.dist-info/METADATA",
        "/opt/e/lib/python3/site-packages/b-1.egg-info/installed-files.txt",
    ):
        root.file(path, content)

    found = owners(root.host, ["/etc/ca.pem", "/opt/e/etc/ca.pem", "/opt/e/lib/python3/site-packages/a/ca.pem"])

    for package in found.values():
        assert package.words.isascii()
        assert shlex.quote(package.name).strip("'") == package.name
