"""The verdict engine beside the real libraries, over thousands of stores, chains and times: trusted or not is equal.

What the engine leaves out on purpose, and why, is in docs/verdicts.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from differential import judges
from differential.cases import NOW, Case, Planted, cases, has_no_ca, has_sha1, plant
from hosts.machine import Guest, Interpreter, Jdk
from readers import ask
from readers.ask import Question
from trustmend.model import Verdict

pytestmark = pytest.mark.slow
NSS_CASES = 60  # a database each


@dataclass(frozen=True, slots=True)
class Cases:
    """The cases and their files."""

    all: Sequence[Case]
    planted: Sequence[Planted]
    folder: str

    def some(self, count: int) -> list[int]:
        """Positions of so many cases of now, spread over all."""
        now = [number for number, case in enumerate(self.all) if case.at == NOW]
        return now[:: max(1, len(now) // count)][:count]


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Cases:
    folder = tmp_path_factory.mktemp("differential")
    chosen = cases(judges.asked())
    return Cases(chosen, plant(chosen, folder), str(folder))


def disagreements(chosen: Sequence[Case], reader: str, answers: Sequence[str]) -> list[str]:
    """Each case in which the library says otherwise than the engine, in words."""
    found = []
    for case, said in zip(chosen, answers, strict=True):
        outcome = judges.ours(case, reader)
        if (outcome.verdict is Verdict.TRUSTED) != (said == ""):
            found.append(f"{case}: {reader} says `{said or 'accepted'}`, we {outcome.verdict}: {outcome.rule}")
    return found


@pytest.mark.needs("openssl", "/usr/bin/python3")
def test_openssl_3(written: Cases) -> None:
    answers = judges.openssl(written.planted, list(judges.RULES))

    for reader, said in answers.items():
        assert disagreements(written.all, reader, said) == []
        assert 0.1 < said.count("") / len(said) < 0.9, "the cases are lopsided and prove little"


@pytest.mark.privileged
@pytest.mark.needs("openssl")
def test_openssl_1_1_1(written: Cases, bullseye: Guest) -> None:
    """To it SHA-1 is worth 80 bits, enough for level 1; and of issuers that are all out of date it takes the last.

    Debian's and Ubuntu's builds ask for level 2; and only a block that trusts lets a path with such an issuer pass.
    """
    rules = ("openssl-3", "curl", "python-3.12")
    answers = judges.guest_openssl(bullseye, "libcrypto.so.1.1", written.folder, written.planted, rules)

    for reader, said in answers.items():
        same = [
            number
            for number, case in enumerate(written.all)
            if (reader == "python-3.12" or not has_sha1(case))
            and ("trust serverAuth" not in [form for _, form in case.store] or case.at == NOW)
        ]
        assert disagreements([written.all[n] for n in same], reader, [said[n] for n in same]) == []


@pytest.mark.privileged
@pytest.mark.needs("openssl")
def test_openssl_3_5(written: Cases, trixie: Guest) -> None:
    answers = judges.guest_openssl(trixie, "libcrypto.so.3", written.folder, written.planted, list(judges.RULES))

    for reader, said in answers.items():
        assert disagreements(written.all, reader, said) == []


@pytest.mark.needs("openssl")
@pytest.mark.parametrize(("reader", "flags"), [("openssl-3", []), ("curl", ["-partial_chain"])])
def test_the_program_openssl_verify(written: Cases, reader: str, flags: list[str]) -> None:
    chosen = range(0, len(written.all), max(1, len(written.all) // 60))
    answers = [judges.openssl_verify(written.planted[number], flags) for number in chosen]

    assert disagreements([written.all[number] for number in chosen], reader, answers) == []


def handshakes(written: Cases, chosen: Sequence[int]) -> list[Question]:
    """The questions of TLS clients that know no other time than now."""
    return [Question(one.store, one.chain, one.key) for one in (written.planted[number] for number in chosen)]


@pytest.mark.needs("openssl")
def test_pythons(written: Cases, pythons: list[Interpreter]) -> None:
    chosen = written.some(200)
    questions = handshakes(written, chosen)
    for python in pythons:
        if python.version in ((3, 11), pythons[-1].version):
            reader = "python-3.13" if python.version >= (3, 13) else "python-3.12"
            answers = ask.python_default(python.path, questions)
            assert disagreements([written.all[number] for number in chosen], reader, answers) == [], python


@pytest.mark.privileged
@pytest.mark.needs("openssl")
def test_debian_13s_python(written: Cases, trixie: Guest) -> None:
    chosen = written.some(200)
    answers = ask.guest_python_default(trixie, written.folder, handshakes(written, chosen))

    assert disagreements([written.all[number] for number in chosen], "python-3.13", answers) == []


def test_jvms(written: Cases, jdks: list[Jdk], tmp_path: Path) -> None:
    """Which of several anchors of a name a JVM asks first is chance; where one is no CA, we say the worst."""
    classes = judges.compiled(next(jdk.javac for jdk in jdks if jdk.javac), tmp_path)
    for jdk in (jdks[0], jdks[-1]):
        answers = judges.java(jdk, classes, written.planted)

        worst = [
            "by chance" if not said and has_no_ca(case) and judges.ours(case, "jsse").verdict is not Verdict.TRUSTED
            else said
            for case, said in zip(written.all, answers, strict=True)
        ]  # fmt: skip
        assert disagreements(written.all, "jsse", worst) == [], jdk
        assert worst.count("by chance") < len(worst) / 25


@pytest.mark.needs("certtool", "/usr/bin/python3")
def test_gnutls(written: Cases) -> None:
    assert disagreements(written.all, "gnutls", judges.gnutls(written.planted)) == []


@pytest.mark.privileged
def test_debian_13s_gnutls(written: Cases, trixie: Guest) -> None:
    answers = judges.guest_gnutls(trixie, written.folder, written.planted)

    assert disagreements(written.all, "gnutls", answers) == []


@pytest.mark.needs("go")
def test_go(written: Cases, tmp_path: Path) -> None:
    assert disagreements(written.all, "go", judges.go(written.planted, tmp_path)) == []


# Where libpkix and mozilla::pkix part: SHA-1, key identifiers, purposes and criticals of CAs, anchors that are none.
LIBPKIX_ALONE = ("SHA-1", "SKI", "wrong AKI", "for clients", "no BC", "unknown extension")


def parts_libpkix(member: str) -> bool:
    """Whether the two judge such a certificate differently."""
    return any(word in member for word in LIBPKIX_ALONE)


@pytest.mark.needs("certutil", "vfychain")
def test_nss(written: Cases, tmp_path: Path) -> None:
    """The row is of browsers, whose mozilla::pkix no program here gives access to; NSS's own libpkix does."""
    now = [written.all[number] for number in written.some(len(written.all))]
    common = [case for case in now if case.plain and not any(map(parts_libpkix, (*case.members(), case.issuing)))]
    chosen = common[:: max(1, len(common) // NSS_CASES)][:NSS_CASES]

    assert disagreements(chosen, "nss", judges.nss(chosen, tmp_path)) == []
