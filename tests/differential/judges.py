"""The verdicts on cases: ours, and those of the real libraries. An answer is "" (accepted) or the error's text."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

from differential.cases import Case, Planted, leaf_of, pool, store_pem
from hosts.machine import Guest, Jdk
from trustmend.formats import pem
from trustmend.model import OPENSSL, Loaded, View
from trustmend.readers import READERS
from trustmend.validate import Anchors, Outcome, validate

HERE: Final = Path(__file__).parent
ENVIRON: Final = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
TRUSTED_FIRST, PARTIAL_CHAIN, STRICT = 0x8000, 0x80000, 0x20  # X509_V_FLAG_...; the first is the default
RULES: Final = {
    "openssl-3": (TRUSTED_FIRST, 1),
    "curl": (TRUSTED_FIRST | PARTIAL_CHAIN, 1),
    "python-3.12": (TRUSTED_FIRST, 2),
    "python-3.13": (TRUSTED_FIRST | PARTIAL_CHAIN | STRICT, 2),
}
"""Readers on OpenSSL: its flags and security level."""


def ours(case: Case, reader: str) -> Outcome:
    """The engine's answer for a reader: JVMs and NSS get the certificates, the others the file."""
    row = READERS[reader]
    own_form = reader in ("jsse", "nss")
    loaded = view(store_pem(case, plain=own_form), OPENSSL if own_form else row.view)
    anchors = Anchors(loaded.entries if isinstance(loaded, Loaded) else ())
    return validate(case.issuing_ca, [pool()[member].certificate for member in case.sent], anchors, row, case.at)


@cache
def view(held: bytes, name: str) -> View:
    """What a reader with this view takes from the file."""
    return pem.read(held).views[name]


def openssl(planted: Sequence[Planted], rules: Sequence[str]) -> Mapping[str, list[str]]:
    """This machine's libcrypto, for each of the rules."""
    return _openssl_answers(_python([str(HERE / "libcrypto.py"), "libcrypto.so.3"], _question(planted, rules)))


def guest_openssl(
    guest: Guest, library: str, folder: str, planted: Sequence[Planted], rules: Sequence[str]
) -> Mapping[str, list[str]]:
    """Another system's libcrypto; all files lie below the folder."""
    question = _question(planted, rules).encode()
    done = guest.run(
        ["python3", "-I", "/mnt/libcrypto.py", library], binds={folder: folder, str(HERE): "/mnt"}, stdin=question
    )
    assert done.returncode == 0, done.stderr.decode()
    return _openssl_answers(done.stdout.decode())


def _question(planted: Sequence[Planted], rules: Sequence[str]) -> str:
    cases = [[one.store, one.chain, _seconds(one.at)] for one in planted]
    return json.dumps({"rules": {name: RULES[name] for name in rules}, "cases": cases})


def _openssl_answers(output: str) -> Mapping[str, list[str]]:
    return {name: [_error(f"X509_V_ERR {n}", n) for n in numbers] for name, numbers in json.loads(output).items()}


def _error(text: str, number: int) -> str:
    return text if number else ""


def openssl_verify(one: Planted, flags: Sequence[str]) -> str:
    """The program `openssl verify`."""
    store = ["-CAfile", one.store, "-no-CApath", "-no-CAstore", "-purpose", "sslserver", "-auth_level", "1"]
    command = ["openssl", "verify", *store, "-attime", str(_seconds(one.at)), *flags, "-untrusted", one.chain]
    done = subprocess.run([*command, one.chain], env=ENVIRON, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else (done.stderr + done.stdout).strip() or "failed"


def gnutls(planted: Sequence[Planted]) -> list[str]:
    """This machine's libgnutls."""
    return _gnutls_answers(_python([str(HERE / "libgnutls.py")], _plain_question(planted)))


def guest_gnutls(guest: Guest, folder: str, planted: Sequence[Planted]) -> list[str]:
    """Another system's libgnutls."""
    binds = {folder: folder, str(HERE): "/mnt"}
    done = guest.run(["python3", "-I", "/mnt/libgnutls.py"], binds=binds, stdin=_plain_question(planted).encode())
    assert done.returncode == 0, done.stderr.decode()
    return _gnutls_answers(done.stdout.decode())


def _plain_question(planted: Sequence[Planted]) -> str:
    return json.dumps([[one.store, one.chain, _seconds(one.at)] for one in planted])


def _gnutls_answers(output: str) -> list[str]:
    return [_error(f"gnutls_certificate_status_t {number:#x}", number) for number in json.loads(output)]


def go(planted: Sequence[Planted], scratch: Path) -> list[str]:
    """This machine's Go."""
    build = {**ENVIRON, "HOME": str(scratch), "GOCACHE": str(scratch / "go-cache"), "GOTOOLCHAIN": "local"}
    program = str(scratch / "judge")
    done = subprocess.run(
        ["go", "build", "-o", program, str(HERE / "judge.go")], env=build, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    lines = "".join(f"{one.store}\t{one.chain}\t{_seconds(one.at)}\n" for one in planted)
    return subprocess.run([program], env=ENVIRON, input=lines, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )[:-1]


def java(jdk: Jdk, classes: str, planted: Sequence[Planted]) -> list[str]:
    """The trust manager of a JVM, all cases in one start."""
    lines = "".join(f"{one.plain}\t{one.chain}\t{_seconds(one.at) * 1000}\n" for one in planted)
    done = subprocess.run(
        [jdk.java, "-Xshare:auto", "-XX:+UseSerialGC", "-cp", classes, "Judge"],
        env=ENVIRON,
        input=lines,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


def nss(chosen: Sequence[Case], folder: Path) -> list[str]:
    """CERT_PKIXVerifyCert by `vfychain -pp`, each with a database of the store's certificates, all of now."""
    empty = folder / "empty"
    empty.mkdir()
    subprocess.run(["certutil", "-N", "--empty-password", "-d", f"sql:{empty}"], env=ENVIRON, check=True)
    return [_vfychain(case, shutil.copytree(empty, folder / str(number))) for number, case in enumerate(chosen)]


def _vfychain(case: Case, database: Path) -> str:
    commands = []
    for number, member in enumerate(dict.fromkeys(member for member, _ in case.store)):
        (database / f"{number}.der").write_bytes(pool()[member].der)
        commands.append(f"-A -n store-{number} -t C,, -i {database}/{number}.der -d sql:{database}\n")
    (database / "commands").write_text("".join(commands))
    batch = ["certutil", "-B", "-i", str(database / "commands"), "-d", f"sql:{database}"]
    subprocess.run(batch, env=ENVIRON, capture_output=True, check=True)
    sent = []
    for number, made in enumerate([leaf_of(case.issuing, case.at), *(pool()[member] for member in case.sent)]):
        sent.append(str(database / f"sent-{number}.der"))
        Path(sent[-1]).write_bytes(made.der)
    verify = ["vfychain", "-pp", "-u", "1", "-d", f"sql:{database}", *sent]
    done = subprocess.run(verify, env=ENVIRON, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    return "" if done.returncode == 0 and "Chain is good" in said else said or "failed"


def compiled(javac: str, folder: Path) -> str:
    """The folder of Judge.class."""
    source = str(HERE.parent / "java" / "Judge.java")
    done = subprocess.run([javac, "-d", str(folder), source], env=ENVIRON, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return str(folder)


def _python(arguments: Sequence[str], question: str) -> str:
    """Run a script below the system's Python, whose process has loaded no other copy of the library."""
    python = "/usr/bin/python3"
    done = subprocess.run(
        [python, "-I", *arguments], env=ENVIRON, input=question, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _seconds(moment: datetime) -> int:
    return int(moment.astimezone(UTC).timestamp())


def asked() -> int:
    """How many cases to judge."""
    return int(os.environ.get("TRUSTMEND_CASES", "2000"))
