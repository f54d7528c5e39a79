"""What real programs are asked, and what they answered: values, and the rule for when a question may be asked.

The verdicts are about a leaf of an issuing CA, and no leaf is at hand. So programs are asked about the issuing CA's own
certificate, as the end of the path, with what the server would send after it. Where that is another question than the
one that was judged (the store itself holds the issuing CA, a path length counts the CAs), it is not asked, and the
reason is said: an answer to another question proves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from trustmend.audit import ReaderVerdict
from trustmend.bundle import Chain
from trustmend.certificate import Certificate, canonical_name
from trustmend.errors import MalformedError
from trustmend.model import Entry, Loaded, Store, Use, Verdict, View
from trustmend.readers import READERS, Reader

_SERVERS_USES: Final = frozenset({0, 2, 4})  # digitalSignature, keyEncipherment, keyAgreement: RFC 5280 4.2.1.3
_NOW: Final = timedelta(minutes=5)


@dataclass(frozen=True)
class Proof:
    """One answer of a real program beside ours, or (`error`) why there is none.

    store: its id.
    chain: its id; None where the question is not about a chain, but about what the program loads.
    ours, theirs: a verdict, or in words what is loaded; `theirs` is None where nothing was answered.
    command: asks the same again, in a shell.
    """

    store: str
    reader: str
    program: str | None
    version: str | None
    chain: str | None
    ours: str
    theirs: str | None = None
    agrees: bool | None = None
    command: str | None = None
    error: str | None = None
    detail: str = ""  # the program's own words where it refuses


@dataclass(frozen=True)
class Question:
    """Would this reader, with this store, trust a leaf of the chain's issuing CA?"""

    store: Store
    uses: tuple[Use, ...]  # those that read the store in this way
    view: View
    chain: Chain
    row: ReaderVerdict  # our answer
    at: datetime

    @property
    def reader(self) -> Reader:
        """The rules that were judged by."""
        return READERS[self.row.reader]

    @property
    def issuing_ca(self) -> Certificate:
        """The target."""
        return self.chain.path[0]

    @property
    def entries(self) -> Sequence[Entry]:
        """What the reader takes from the store."""
        return self.view.entries if isinstance(self.view, Loaded) else ()

    @property
    def sendings(self) -> list[tuple[Certificate, ...]]:
        """What the server may send after its leaf: first what servers normally send, then each cross-sign."""
        if self.chain.seen is not None:
            return [self.chain.seen]
        served = self.chain.served
        paths = (self.chain.path, *self.chain.alternates)
        return [(*path[:-1], *(c for c in served if c not in path)) for path in paths]

    @property
    def namesakes(self) -> list[Entry]:
        """The store's certificates with the issuing CA's name."""
        name = canonical_name(self.issuing_ca.subject)
        return [e for e in self.entries if canonical_name(e.certificate.subject) == name]

    def is_about_now(self, now: datetime) -> bool:
        """The verdict is for the present, so that programs without a clock to set can be asked."""
        return abs(self.at - now) < _NOW

    def unanswered(self, reason: str, program: str | None = None, version: str | None = None) -> Proof:
        """No answer, and why."""
        return Proof(self.store.id, self.row.reader, program, version, self.chain.id, self.row.verdict, error=reason)

    def decisive(self, accepted: Sequence[bool]) -> int:
        """Which of `sendings` shows the program's verdict, and best against ours: its command is told."""
        if self.row.verdict is Verdict.TRUSTED or not any(accepted):
            return 0
        return accepted.index(True)

    def answered(
        self, accepted: Sequence[bool], program: str, version: str | None, command: str, detail: str = ""
    ) -> Proof:
        """The program's verdict beside ours.

        Args:
            accepted: for each of `sendings`, in order, as far as they were asked.
            program: its path.
            version: of it.
            command: asks the `decisive` sending.
            detail: why it refuses, in its words.
        """
        # A program only says no; by which rule, it does not tell. What is barred is not helped by a cross-sign.
        barred = self.row.verdict is Verdict.DISTRUSTED
        ours = Verdict.UNTRUSTED if barred else self.row.verdict
        depends = any(accepted) and not barred
        theirs = Verdict.TRUSTED if accepted[0] else Verdict.CONDITIONAL if depends else Verdict.UNTRUSTED
        words = "" if accepted[0] else detail
        return Proof(
            self.store.id, self.row.reader, program, version, self.chain.id, self.row.verdict, theirs, theirs is ours,
            command, detail=words,
        )  # fmt: skip


def not_a_server(question: Question) -> str | None:
    """Why the issuing CA's certificate cannot stand where a server's does; None where it can."""
    try:
        usage = question.issuing_ca.key_usage
    except MalformedError as problem:
        return f"an extension of {question.issuing_ca.label} cannot be read: {problem}"
    if usage is not None and not usage & _SERVERS_USES:
        return f"the key usage of {question.issuing_ca.label} keeps it from standing in for its leaves"
    return None


def counts_another_path(question: Question) -> str | None:
    """Why a path length would bar a leaf and not its CA: as the end of the path, the CA is not counted; else None."""
    issuing_ca = question.issuing_ca
    by_name: dict[bytes, list[Certificate]] = {}
    sent = (c for sending in question.sendings for c in sending)
    for one in dict.fromkeys([*(e.certificate for e in question.entries), *sent]):
        by_name.setdefault(canonical_name(one.subject), []).append(one)
    level, seen = [issuing_ca], {issuing_ca}
    below = 1
    while level:
        issuers = {i for c in level for i in by_name.get(canonical_name(c.issuer), ()) if i not in seen}
        for issuer in issuers:
            try:
                constraints = issuer.basic_constraints
            except MalformedError:
                continue
            if constraints is not None and constraints[1] == below - 1:
                return f"{issuer.label} allows {below - 1} CA certificates below it, which counts {issuing_ca.label}"
        seen |= issuers
        level = list(issuers)
        below += 1
    return None


def unsent(question: Question) -> str | None:
    """Why nothing can be asked where the issuing CA is neither sent nor in the store; None where it is."""
    if question.namesakes or all(question.issuing_ca in sending for sending in question.sendings):
        return None
    return f"neither the server nor the store has {question.issuing_ca.label}: there is no path to ask about"
