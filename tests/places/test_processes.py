"""Running programs and the stores that they read: real ones, started under the environments that are meant."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import certificates
from command import trustmend
from hosts.machine import Guest
from trustmend.host import Host
from trustmend.model import Role, Use
from trustmend.places import proc, processes, program_options, tree

SYSTEM_PYTHON = "/usr/bin/python3"
PATH = "/usr/bin:/bin"
ROOT = certificates.root("Process Root")


@contextlib.contextmanager
def started(
    argv: Sequence[object], environ: Mapping[str, str] | None = None, cwd: object = "/", *, ready: bool = True
) -> Iterator[int]:
    """The number of a program that runs; `ready`: it prints a line when it is."""
    with subprocess.Popen(
        list(map(str, argv)), env={"PATH": PATH, **(environ or {})}, cwd=str(cwd), stdout=subprocess.PIPE,
        stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        try:
            if ready:
                assert process.stdout is not None
                assert process.stdout.readline()
            yield process.pid
        finally:
            process.kill()


def walked(bundles: Sequence[str] = ()) -> processes.Walk:
    return processes.look(Host(), {"bundles": list(bundles)})


def reads(walk: processes.Walk, pid: int) -> list[tuple[str, Use]]:
    """What one process reads."""
    return [(one.path, use) for one in walk.locations for use in one.uses if use.process and use.process.pid == pid]


def hows(walk: processes.Walk, pid: int) -> set[tuple[str, str, str]]:
    return {(path, use.reader, use.how.removeprefix("environment variable ")) for path, use in reads(walk, pid)}


WAIT = "print(1, flush=True); import time; time.sleep(1000)"
MANY = {
    "SSL_CERT_FILE": "/a.pem", "SSL_CERT_DIR": "/a", "CURL_CA_BUNDLE": "/c.pem", "REQUESTS_CA_BUNDLE": "/r.pem",
    "NODE_EXTRA_CA_CERTS": "/n.pem", "GIT_SSL_CAINFO": "/g.pem", "JAVA_TOOL_OPTIONS": "-Djavax.net.ssl.trustStore=/j",
}  # fmt: skip


def test_each_runtime_reads_its_own_variables() -> None:
    node = shutil.which("node") or ""
    with contextlib.ExitStack() as stack:
        python = stack.enter_context(started([SYSTEM_PYTHON, "-c", WAIT], MANY))
        perl = stack.enter_context(started(["perl", "-e", "$|=1; print qq(1\n); sleep 1000"], MANY))
        shell = stack.enter_context(started(["sh", "-c", "echo 1; read x; :"], MANY))
        tail = stack.enter_context(started(["sleep", "1000"], MANY, ready=False))
        nodes = []
        for options in ([], ["--use-openssl-ca"]) if node else ():
            code = "console.log(1); setTimeout(() => 0, 1e6)"
            nodes.append(stack.enter_context(started([node, *options, "-e", code], {**MANY, "SSL_CERT_DIR": ""})))
        walk = walked()

    assert hows(walk, python) == {
        ("/a.pem", "python-3.12", "SSL_CERT_FILE"),
        ("/a", "python-3.12", "SSL_CERT_DIR"),
        ("/r.pem", "python-3.12", "REQUESTS_CA_BUNDLE"),
    }
    assert hows(walk, perl) == {("/a.pem", "openssl-3", "SSL_CERT_FILE"), ("/a", "openssl-3", "SSL_CERT_DIR")}
    assert reads(walk, shell) == reads(walk, tail) == []
    if node:
        assert [{path for path, _ in reads(walk, one)} for one in nodes] == [{"/n.pem"}, {"/n.pem", "/a.pem"}]
        assert [use.extends for path, use in reads(walk, nodes[0])] == [True]


@pytest.mark.needs("curl")
@pytest.mark.parametrize(
    "words", [[], ["--cacert", "mine.pem"], ["--capath", "/a"], ["--cacert", "mine.pem", "--capath", "/a"]]
)
# With both SSL_CERT_* an old curl (7.88) reads the folder and its default file, a new one (8.14) both: no word for all.
@pytest.mark.parametrize("gone", [[], ["CURL_CA_BUNDLE", "SSL_CERT_DIR"], ["CURL_CA_BUNDLE", "SSL_CERT_FILE"]])
def test_curl_reads_what_it_says_that_it_reads(words: list[str], gone: list[str], tmp_path: Path) -> None:
    """By its -v: options before CURL_CA_BUNDLE before SSL_CERT_*, and its default folder beside a file."""
    for name in ("a.pem", "c.pem", "mine.pem"):
        (tmp_path / name).write_bytes(ROOT.pem)
    files = {"CURL_CA_BUNDLE": "c.pem", "SSL_CERT_FILE": f"{tmp_path}/a.pem", "SSL_CERT_DIR": str(tmp_path)}
    environ = {"PATH": PATH, **{name: value for name, value in files.items() if name not in gone}}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        with subprocess.Popen(
            ["curl", "-sv", "--max-time", "20", *words, address], env=environ, cwd=tmp_path,
            stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert process.stderr is not None
            said = ""
            for line in process.stderr:
                said += line
                if "CApath:" in line:
                    break
            found = reads(walked(), process.pid)
            process.kill()
    expected = {os.path.join(tmp_path, path) for path in re.findall(r"CA(?:file|path): (\S+)", said) if path != "none"}

    assert {os.path.realpath(path) for path, _ in found} == {os.path.realpath(path) for path in expected}
    assert {use.reader for _, use in found} == {"curl"}


def test_python_reads_the_default_folder_beside_ssl_cert_file(tmp_path: Path) -> None:
    file = tmp_path / "one.pem"
    file.write_bytes(ROOT.pem)
    code = "import ssl; p = ssl.get_default_verify_paths(); print(p.cafile, p.capath, flush=True)\n" + WAIT
    with started([SYSTEM_PYTHON, "-c", code], {"SSL_CERT_FILE": str(file)}) as pid:
        found = reads(walked(), pid)
    said = subprocess.run(
        [SYSTEM_PYTHON, "-c", code.partition("\n")[0]], env={"SSL_CERT_FILE": str(file)}, capture_output=True,
        text=True, check=True,
    ).stdout.split()  # fmt: skip

    assert [path for path, _ in found] == said


def test_the_certifi_of_an_environment(tmp_path: Path) -> None:
    """By what that very Python imports, however it was started."""
    venv, shared, extra = tmp_path / "venv", tmp_path / "shared", tmp_path / "extra"
    subprocess.run([SYSTEM_PYTHON, "-m", "venv", "--without-pip", venv], env={"PATH": PATH}, check=True)
    wide = ["--system-site-packages", "--without-pip"]
    subprocess.run([SYSTEM_PYTHON, "-m", "venv", *wide, shared], env={"PATH": PATH}, check=True)
    home = tmp_path / "home"
    version = os.path.basename(os.path.realpath(SYSTEM_PYTHON))
    places = [
        f"{venv}/lib/{version}/site-packages", str(extra), f"{home}/.local/lib/{version}/site-packages",
    ]  # fmt: skip
    for place in places:
        Path(place, "certifi").mkdir(parents=True)
        Path(place, "certifi/cacert.pem").write_bytes(ROOT.pem)
        Path(place, "certifi/__init__.py").write_text("where = __file__[:-11] + 'cacert.pem'")
    bundles = [f"{place}/certifi/cacert.pem" for place in places]
    ask = "try: import certifi; print(certifi.where, flush=True)\nexcept ImportError: print('-', flush=True)\n"
    starts: list[tuple[list[str], dict[str, str]]] = [
        ([f"{venv}/bin/python3"], {}),
        (["python3"], {"PATH": f"{venv}/bin:{PATH}"}),
        ([f"{venv}/bin/python3"], {"PYTHONPATH": str(extra)}),
        ([f"{venv}/bin/python3", "-I"], {"PYTHONPATH": str(extra)}),
        ([f"{venv}/bin/python3", "-Wignore", "-s"], {"PYTHONPATH": str(extra)}),
        ([SYSTEM_PYTHON], {"HOME": str(home), "VIRTUAL_ENV": str(venv)}),
        ([SYSTEM_PYTHON, "-s"], {"HOME": str(home)}),
        ([SYSTEM_PYTHON], {"HOME": str(home), "PYTHONNOUSERSITE": "1"}),
        ([f"{shared}/bin/python3"], {"HOME": str(home)}),
        ([f"{venv}/bin/python3"], {"HOME": str(home)}),
    ]
    for words, environ in starts:
        program = shutil.which(words[0], path=environ.get("PATH", PATH)) or words[0]
        with subprocess.Popen(
            [*words, "-c", ask + WAIT], executable=program, env={"PATH": PATH, **environ}, stdout=subprocess.PIPE,
            text=True, cwd="/",
        ) as process:  # fmt: skip
            assert process.stdout is not None
            said = process.stdout.readline().strip()
            found = reads(walked(bundles), process.pid)
            process.kill()
        if said.startswith(str(tmp_path)):
            assert [path for path, _ in found] == [said], (words, environ)
        else:
            assert found == [], (words, environ)


def test_options_of_the_command_line() -> None:
    def given(*words: str) -> list[tuple[str, str, Role | None]]:
        name = os.path.basename(words[0])
        found = program_options.of_command(name, program_options.runtime(name), words)
        return [(one.option, one.named.path, one.role) for one in found]

    assert given("/usr/bin/openssl", "s_client", "-CAfile", "a", "-CApath", "b") == [
        ("-CAfile", "a", None),
        ("-CApath", "b", None),
    ]
    assert given("curl", "--cacert", "a", "--cacert", "b") == [("--cacert", "b", None)]
    assert given("etcd", "--trusted-ca-file", "/c") == [("--trusted-ca-file", "/c", Role.CLIENT_AUTH)]
    assert given("dockerd", "--tlscacert", "/c") == [("--tlscacert", "/c", Role.CLIENT_AUTH)]
    assert given("psql", "host=x sslrootcert=/d sslmode=verify-full") == [("sslrootcert", "/d", None)]
    assert given("psql", "postgres://u@h/d?sslrootcert=/d&x=y") == [("sslrootcert", "/d", None)]
    assert given("kubectl", "--certificate-authority=a") == [("--certificate-authority", "a", None)]
    assert given("curl", "--cacert=a") == given("curl", "--cacert", "--other") == []
    assert given("curl", "--cacert") == given("curl", "--", "--cacert", "x") == []
    assert given("java", "--cacert", "x") == []


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"java\0-Ddb.password=s3cret\0-jar\0app.jar\0", "java -Ddb.password=... -jar app.jar"),
        (b"x\0--token\0s3cret\0y\0", "x --token ... y"),
        (b'x\0{"API_KEY": "s3cret", "a": 1}\0', 'x {"API_KEY": "...", "a": 1}'),
        (b"git\0clone\0https://me:s3cret@host/x\0", "git clone https://me:...@host/x"),
        (b"curl\0-u\0me:s3cret\0https://host\0", "curl -u me:... https://host"),
        (b"nginx: master process /usr/sbin/nginx", "nginx: master process /usr/sbin/nginx"),
        (b"a\0b\nc\x1b[2J\0", "a b\\x0ac\\x1b[2J"),
        (b"", ""),
    ],
)
def test_a_command_is_shown_without_its_secrets(line: bytes, shown: str) -> None:
    assert proc.command_text(line) == shown


@given(st.binary(max_size=300))
def test_a_command_is_one_printable_line(line: bytes) -> None:
    text = proc.command_text(line)
    assert text.isprintable()
    assert len(text) <= 200


AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all")


@pytest.mark.privileged
def test_root_looks_at_nothing_that_the_processs_user_may_not_read(tmp_path: Path, open_path: Path) -> None:
    (tmp_path / "mine.pem").write_bytes(ROOT.pem)
    (open_path / "open.pem").write_bytes(ROOT.pem)
    (open_path / "link.pem").symlink_to(tmp_path / "mine.pem")
    with contextlib.ExitStack() as stack:
        pids = {
            name: stack.enter_context(started([*AS_NOBODY, "perl", "-e", "$|=1; print qq(1\n); sleep 1000"],
                                              {"SSL_CERT_FILE": str(path), "SSL_CERT_DIR": "/nowhere"}))
            for name, path in (("link", open_path / "link.pem"), ("open", open_path / "open.pem"))
        }  # fmt: skip
        walk = walked()

    assert (str(open_path / "open.pem"), "openssl-3", "SSL_CERT_FILE") in hows(walk, pids["open"])
    assert [path for path, _ in reads(walk, pids["link"])] == ["/nowhere"]
    assert [finding.code for process, finding in walk.alone if process.pid == pids["link"]] == ["reader-may-not"]
    assert {use.process.user for _, use in reads(walk, pids["open"]) if use.process} == {"nobody"}


@pytest.mark.privileged
def test_others_count_the_processes_that_they_cannot_look_into(open_path: Path) -> None:
    code = (
        "import json, sys; sys.path[:0] = json.loads(sys.argv[1])\n"
        "from trustmend.places import processes; from trustmend.host import Host\n"
        "walk = processes.look(Host(), {'bundles': []})\n"
        "print(walk.unseen, *[use.process.pid for one in walk.locations for use in one.uses])\n"
        "print(*walk.notes())"
    )
    bundle = "/etc/ssl/certs/ca-certificates.crt"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        with started(["/usr/bin/curl", "-s", "--cacert", bundle, address], ready=False) as pid:
            time.sleep(0.3)
            done = subprocess.run(
                [*AS_NOBODY, SYSTEM_PYTHON, "-c", code, json.dumps(_readable(open_path))],
                env={"PATH": PATH}, capture_output=True, text=True, check=True, cwd="/",
            )  # fmt: skip
    numbers, notes = done.stdout.splitlines()
    unseen, *readers = map(int, numbers.split())
    assert unseen > 0
    assert pid in readers
    assert re.match(rf"{unseen} processe?s? could not be looked into \(run as root\)", notes)


def _readable(folder: Path) -> list[str]:
    """A copy of the code and of what it needs for other users."""
    import trustmend as package

    shutil.copytree(os.path.dirname(package.__file__), folder / "trustmend")
    for name in ("cryptography", "_cffi_backend", "cffi", "asn1crypto"):
        for path in sys.path:
            for one in Path(path).glob(f"{name}*") if path else ():
                if not one.name.endswith("-info") and not (folder / one.name).exists():
                    (shutil.copytree if one.is_dir() else shutil.copy)(one, folder / one.name)
    return [str(folder)]


@pytest.mark.privileged
def test_a_process_of_another_root_is_told_and_joined_there(bookworm: Guest) -> None:
    with bookworm.session() as session:
        session.run(["sh", "-c", "cat /etc/ssl/certs/*.pem | head -c 3000 > /srv/ca.pem"])
        started_there = session.start(
            ["python3", "-c", WAIT], environ={"SSL_CERT_FILE": "/srv/ca.pem", "SSL_CERT_DIR": "/nowhere"}
        )
        assert started_there.stdout is not None
        assert started_there.stdout.readline()
        here = walked()
        root = f"/proc/{session.pid}/root"
        there = processes.look(Host.of(root), {"bundles": []})

    assert "/srv/ca.pem" not in {one.path for one in here.locations}
    findings = [finding.message for _, finding in here.alone if finding.code == "other-root"]
    assert any(re.search(r"trustmend --root /proc/\d+/root audit", message) for message in findings)
    uses = [use for one in there.locations if one.path == "/srv/ca.pem" for use in one.uses]
    assert [use.reader for use in uses] == ["python-3.12"]
    assert uses[0].process is not None
    assert uses[0].process.container == root
    assert (there.unseen, there.alone) == (0, ())


def test_a_foreign_root_has_no_processes(tmp_path: Path) -> None:
    assert processes.look(Host(str(tmp_path)), tree.survey(Host(str(tmp_path)))) == processes.Walk()


def test_stores_by_program(tmp_path: Path) -> None:
    file, other = tmp_path / "ca.pem", tmp_path / "extra.pem"
    file.write_bytes(ROOT.pem)
    other.write_bytes(ROOT.pem)
    environ = {"SSL_CERT_FILE": str(file), "SSL_CERT_DIR": "/nowhere"}
    argv = ["perl", "-e", f"$|=1; print qq(1\n); sleep 1000 # {tmp_path.name}"]
    with started(argv, environ) as one, started(argv, environ) as two:
        document = trustmend("stores", "--by-program", "--json").json()
        table = trustmend("stores", "--by-program", file)
        listed = trustmend("stores")
        shown = trustmend("show", file)

    pids = sorted((one, two))
    (row,) = [row for row in document["programs"] if row["pids"] == pids]
    assert document["schema"] == "trustmend/programs/1"
    assert (row["verdict"], row["user"]) == ("untrusted", "root")
    assert (row["stores"][0]["path"], row["stores"][0]["extends"]) == (str(file), False)
    words = f"2 processes: {pids[0]}, {pids[1]}"
    assert words in table.out
    assert "UNTRUSTED" in table.out
    assert f"{words} (perl," in listed.out
    assert f"{words} (perl," in " ".join(shown.out.split())
    assert trustmend("stores", "--at", "2026-01-01").code == 2
