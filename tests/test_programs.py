"""Programs and their verdicts, from stores and their uses."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

import authority
from trustmend.host import Host
from trustmend.model import Family, Finding, Location, Process, Severity, Use, Verdict
from trustmend.programs import Program, programs
from trustmend.stores import Reading, read_stores

AT = datetime(2026, 6, 1, tzinfo=UTC)
MADE = authority.make()
BUNDLE = authority.bundle(MADE)


def found(tmp_path: Path, *uses: tuple[str, bytes, Use]) -> list[Program]:
    """The programs of stores of these names and contents, each read so."""
    for name, content, _ in uses:
        (tmp_path / name).write_bytes(content)
    locations = [Location(str(tmp_path / name), Family.TOOL, uses=(use,), named=True) for name, _, use in uses]
    return programs(read_stores(Host(), locations, Reading()), [BUNDLE], AT)


def process(pid: int, command: str = "app --serve", unit: str | None = "app.service") -> Process:
    return Process(pid, command, "app", unit)


def by(variable: str, *, pid: int = 7, extends: bool = False) -> Use:
    return Use("openssl-3", f"environment variable {variable}", "/opt/app", extends=extends, process=process(pid))


TRUSTS, LACKS = MADE.new.pem, MADE.stranger.pem


def test_processes_that_differ_by_their_number_are_one_program(tmp_path: Path) -> None:
    uses = [("a.pem", TRUSTS, by("SSL_CERT_FILE", pid=pid)) for pid in (9, 7)]
    (program,) = found(tmp_path, *uses)

    assert (program.name, program.user, program.unit, program.pids) == ("app --serve", "app", "app.service", (7, 9))
    assert (program.verdict, len(program.reads)) == (Verdict.TRUSTED, 1)


def test_the_worst_of_what_is_read_instead_of_anything_else(tmp_path: Path) -> None:
    (program,) = found(tmp_path, ("a.pem", TRUSTS, by("SSL_CERT_FILE")), ("b.pem", LACKS, by("REQUESTS_CA_BUNDLE")))

    assert program.verdict is Verdict.UNTRUSTED


def test_a_file_and_a_folder_of_one_library_are_one(tmp_path: Path) -> None:
    (program,) = found(tmp_path, ("a.pem", TRUSTS, by("SSL_CERT_FILE")), ("b.pem", LACKS, by("SSL_CERT_DIR")))

    assert program.verdict is Verdict.TRUSTED


@pytest.mark.parametrize(
    ("base", "extension", "verdict"),
    [
        (TRUSTS, LACKS, Verdict.TRUSTED),
        (LACKS, TRUSTS, Verdict.TRUSTED),
        (LACKS, LACKS, Verdict.UNTRUSTED),
        (None, TRUSTS, Verdict.TRUSTED),
        (None, LACKS, None),
    ],
)
def test_what_extends_only_adds(tmp_path: Path, base: bytes | None, extension: bytes, verdict: Verdict | None) -> None:
    uses = [("extra.pem", extension, by("NODE_EXTRA_CA_CERTS", extends=True))]
    if base is not None:
        uses.append(("base.pem", base, by("SSL_CERT_FILE")))
    (program,) = found(tmp_path, *uses)

    assert program.verdict is verdict
    assert [read.extends for read in program.reads] == sorted(read.extends for read in program.reads)


def test_installed_ones_come_after_running_ones(tmp_path: Path) -> None:
    first, second = found(
        tmp_path,
        ("a.pem", LACKS, Use("jsse", "the default store of this JVM", "/usr/lib/jvm/x")),
        ("b.pem", TRUSTS, by("SSL_CERT_FILE")),
    )

    assert (first.pids, second.pids, second.name, second.verdict) == ((7,), (), "/usr/lib/jvm/x", Verdict.UNTRUSTED)


def test_who_reads_nothing_is_a_row() -> None:
    finding = Finding("trusts-nobody", Severity.WARNING, "process 7 (app) trusts nobody")
    other = Finding("other-root", Severity.INFO, "2 processes run in another root")
    nobody, unknown = programs([], [BUNDLE], AT, [(process(7), finding), (process(8), other)])

    assert (nobody.verdict, nobody.reason) == (Verdict.UNTRUSTED, finding.message)
    assert unknown.verdict is None
