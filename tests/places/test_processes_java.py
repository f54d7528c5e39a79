"""Whom running JVMs trust, by their own word, and by what /proc says of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import certificates
import keystores
from hosts.machine import Jdk, find_jdks
from trustmend.audit import sights
from trustmend.host import Host
from trustmend.model import Loaded
from trustmend.places import java_command, processes
from trustmend.stores import Reading, read_stores

ONE, TWO = certificates.root("Store One"), certificates.root("Store Two")
NAMED = "-Djavax.net.ssl.trustStore="
TYPE = "-Djavax.net.ssl.trustStoreType="
PASSWORD = "-Djavax.net.ssl.trustStorePassword="
PROGRAMS = Path(__file__).parents[1] / "java"


@cache
def compiled() -> str:
    """The folder of the classes, for every JVM that is here."""
    javac = next(jdk.javac for jdk in find_jdks() if jdk.javac)
    folder = tempfile.mkdtemp(prefix="trustmend-waiting-", dir=os.environ.get("HOME"))
    subprocess.run([javac, "-d", folder, str(PROGRAMS / "Waiting.java")], env={"PATH": "/usr/bin:/bin"}, check=True)
    return folder


@dataclass(frozen=True)
class Case:
    """A start of a JVM in the folder of the stores."""

    options: Sequence[str] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    arguments: Sequence[str] = ()


CASES: dict[str, Case] = {
    "default": Case(environ={"SSL_CERT_FILE": "/nowhere.pem"}),
    "named": Case([f"{NAMED}one.jks"]),
    "password": Case([f"{NAMED}one.jks", f"{PASSWORD}changeit"]),
    "wrong password": Case([f"{NAMED}one.jks", f"{PASSWORD}wrong"]),
    "wrong password for the default": Case([f"{PASSWORD}wrong"]),
    "missing": Case([f"{NAMED}missing.jks"]),
    "folder": Case([f"{NAMED}folder"]),
    "empty": Case([NAMED]),
    "no value": Case([NAMED[:-1]]),
    "NONE": Case([f"{NAMED}NONE"]),
    "no key store": Case([f"{NAMED}one.pem"]),
    "JCEKS": Case([f"{NAMED}one.jceks"]),
    "JCEKS with its password": Case([f"{NAMED}one.jceks", f"{PASSWORD}changeit"]),
    "JCEKS with its type": Case([f"{NAMED}one.jceks", f"{TYPE}JCEKS"]),
    "JCEKS with its type and password": Case([f"{NAMED}one.jceks", f"{TYPE}jceks", f"{PASSWORD}changeit"]),
    "JKS as JCEKS": Case([f"{NAMED}one.jks", f"{TYPE}JCEKS"]),
    "JKS as PKCS12": Case([f"{NAMED}one.jks", f"{TYPE}PKCS12"]),
    "the last one": Case([f"{NAMED}one.jks", f"{NAMED}two.jks"]),
    "an argument file": Case(["@quoted"]),
    "an argument of the program": Case(arguments=["@quoted", f"{NAMED}one.jks"]),
    "a value is no option": Case(["--add-modules", "java.sql", f"{NAMED}one.jks"]),
    "the JVM's own file": Case(["-XX:VMOptionsFile=vm", f"{NAMED}two.jks"]),
    "the JVM's own file last": Case([f"{NAMED}two.jks", "-XX:VMOptionsFile=vm"]),
    "JAVA_TOOL_OPTIONS": Case(environ={"JAVA_TOOL_OPTIONS": f"-Xmx64m {NAMED}'with blank.jks'"}),
    "JDK_JAVA_OPTIONS": Case(environ={"JDK_JAVA_OPTIONS": f"{NAMED}one.jks"}),
    "JDK_JAVA_OPTIONS with a file": Case(environ={"JDK_JAVA_OPTIONS": "-Dx=y @quoted"}),
    "_JAVA_OPTIONS": Case(environ={"_JAVA_OPTIONS": f"{NAMED}one.jks"}),
    "tool before jdk": Case(environ={"JAVA_TOOL_OPTIONS": f"{NAMED}one.jks", "JDK_JAVA_OPTIONS": f"{NAMED}two.jks"}),
    "jdk before command": Case([f"{NAMED}two.jks"], {"JDK_JAVA_OPTIONS": f"{NAMED}one.jks"}),
    "command before _java": Case([f"{NAMED}one.jks"], {"_JAVA_OPTIONS": f"{NAMED}two.jks"}),
    "_java says NONE": Case([f"{NAMED}one.jks"], {"_JAVA_OPTIONS": f"{NAMED}NONE"}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stores of every kind, and files of options."""
    made = tmp_path_factory.mktemp("stores")
    (made / "one.jks").write_bytes(keystores.build([keystores.Item("one", ONE.der)]))
    (made / "one.jceks").write_bytes(keystores.build([keystores.Item("one", ONE.der)], magic=keystores.JCEKS))
    (made / "with blank.jks").write_bytes(keystores.build([keystores.Item("one", ONE.der)]))
    (made / "two.jks").write_bytes(keystores.build([keystores.Item("two", TWO.der)]))
    (made / "one.pem").write_bytes(ONE.pem)
    (made / "folder").mkdir()
    (made / "quoted").write_text(f"# {NAMED}two.jks\n-Dother='a b'\n\"{NAMED}with \\\n   blank.jks\"\n")
    (made / "vm").write_text(f"{NAMED}one.jks")
    return made


@contextmanager
def started(java: str, case: Case, folder: Path) -> Iterator[tuple[int, str]]:
    """(number, what it says) of a JVM that waits."""
    argv = [java, *case.options, "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", compiled(), "Waiting"]
    environ = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", **case.environ}
    with subprocess.Popen(
        [*argv, *case.arguments], env=environ, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process.pid, process.stdout.readline().strip()
        finally:
            process.kill()


def seen(walk: processes.Walk, pid: int) -> str:
    """What the same JVM would say by what was found of it."""
    nobody = [finding.code for process, finding in walk.alone if process.pid == pid]
    found = [
        replace(location, uses=(use,))
        for location in walk.locations
        for use in location.uses
        if use.process and use.process.pid == pid
    ]
    if not found:
        return "ok" if nobody == ["trusts-nobody"] else "nothing was found"
    (location,) = found
    (store,) = read_stores(Host(), [location], Reading())
    ((_, view, _),) = sights(store)
    if not isinstance(view, Loaded):
        return "error"
    return " ".join(["ok", *sorted({entry.certificate.sha256 for entry in view.entries})])


def test_a_jvm_reads_what_its_command_line_names(folder: Path, jdks: list[Jdk]) -> None:
    case = Case([f"{NAMED}one.jks", f"{PASSWORD}changeit"])
    with started(jdks[0].java, case, folder) as (pid, said):
        walk = processes.look(Host(), {"bundles": []})
        assert said == f"ok {ONE.sha256}"
        assert seen(walk, pid) == said
    (location,) = [one for one in walk.locations if one.path == f"{folder}/one.jks"]
    (use,) = location.uses
    assert (use.program, use.secret, use.process and use.process.user) == (jdks[0].home, "changeit", "root")
    assert "changeit" not in repr(walk)


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
def test_every_rule_is_that_of_real_jvms(number: int, folder: Path, jdks: list[Jdk]) -> None:
    jdk = jdks[number]
    for names in [list(CASES)[start : start + 6] for start in range(0, len(CASES), 6)]:
        with ExitStack() as stack:
            running = {name: stack.enter_context(started(jdk.java, CASES[name], folder)) for name in names}
            walk = processes.look(Host(), {"bundles": []})
            assert {name: seen(walk, pid) for name, (pid, _) in running.items()} == {
                name: said for name, (_, said) in running.items()
            }


@pytest.mark.slow
def test_a_jssecacerts_is_read_unless_a_property_names_no_file(folder: Path, jdks: list[Jdk], tmp_path: Path) -> None:
    home = tmp_path / "jdk"
    shutil.copytree(jdks[-1].home, home, ignore=shutil.ignore_patterns("jmods", "src.zip", "legal", "*.jsa"))
    (home / "lib/security/jssecacerts").write_bytes((folder / "one.jks").read_bytes())

    answers = {}
    for name in ("default", "named", "missing", "folder", "empty", "NONE", "wrong password for the default"):
        with started(f"{home}/bin/java", CASES[name], folder) as (pid, said):
            walk = processes.look(Host(), {"bundles": []})
            assert seen(walk, pid) == said, name
            answers[name] = [one.path for one in walk.locations for use in one.uses if use.process.pid == pid]  # type: ignore[union-attr]

    assert answers["default"] == [f"{home}/lib/security/jssecacerts"]
    assert answers["missing"] == [f"{home}/lib/security/cacerts"]


def test_what_a_jvm_ignores_is_told_once_for_all_its_processes(folder: Path, jdks: list[Jdk]) -> None:
    with started(jdks[0].java, CASES["missing"], folder), started(jdks[0].java, CASES["missing"], folder):
        walk = processes.look(Host(), {"bundles": []})
    (location,) = [one for one in walk.locations if one.path == f"{folder}/missing.jks"]

    assert location.uses == ()
    assert [finding.code for finding in location.findings] == ["property-ignored"]
    assert "2 processes" in location.findings[0].message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b\tc\nd\re\ff", ["a", "b", "c", "d", "e", "f"]),
        ("'a b' \"c 'd\" e'f'g", ["a b", "c 'd", "efg"]),
        (r'"a\tb\"c\\d" e\tf', ['a\tb"c\\d', r"e\tf"]),
        ('"a \\\n   b"', ["a b"]),
        ("# x 'y\na #z\nb", ["a", "b"]),
        ("lost#x\na", ["a"]),
        ('"a\nb', ["a", "b"]),
        ("'' a ''", ["", "a"]),
        ('b "a\\', ["b"]),
        ("", []),
    ],
)
def test_argument_files(text: str, words: list[str]) -> None:
    assert java_command.argument_file(text) == words


def test_the_launcher_stops_at_the_main_class() -> None:
    def options(*words: str) -> list[str]:
        return list(java_command.launcher_options(words, lambda path: {"f": "-Da -jar x.jar -Db"}.get(path)))

    assert options("-cp", "-Dx", "-Dy", "Main", "-Dz") == ["-cp", "-Dy"]
    assert options("-Dx", "@f", "-Dz") == ["-Dx", "-Da"]
    assert options("@missing", "-Dx", "-m", "module/Main", "-Dz") == ["-Dx"]
    assert options("--disable-@files", "@f", "-Dz") == ["--disable-@files"]


@pytest.mark.slow
@settings(max_examples=25)
@given(st.lists(st.sampled_from([*"ab -\t\n\f'\"\\n", "\\\n  ", " # c'\n"]), max_size=14).map("".join))
def test_argument_files_are_read_as_java_reads_them(text: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "arguments")
        path.write_text(f"-cp {shown()} Shown {text}")
        done = subprocess.run(
            [find_jdks()[0].java, "-Xshare:auto", "-XX:TieredStopAtLevel=1", f"@{path}"],
            env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True,
        )  # fmt: skip
    assert ["-cp", shown(), "Shown", *done.stdout.split("\0")[:-1]] == java_command.argument_file(
        f"-cp {shown()} Shown {text}"
    )


@cache
def shown() -> str:
    """The folder of a class that prints its arguments, each with a NUL at its end."""
    javac = next(jdk.javac for jdk in find_jdks() if jdk.javac)
    folder = tempfile.mkdtemp(prefix="trustmend-shown-", dir=os.environ.get("HOME"))
    code = "public class Shown { public static void main(String[] a) { for (var x : a) System.out.print(x + '\\0'); } }"
    Path(folder, "Shown.java").write_text(code)
    subprocess.run([javac, "-d", folder, f"{folder}/Shown.java"], env={"PATH": "/usr/bin:/bin"}, check=True)
    assert re.match(r"[\w./-]+\Z", folder)
    return folder
