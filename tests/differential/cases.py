"""Cases for the verdict engine: a store, an issuing CA, what a server sends and a time; any number, the same each run.

The certificates are made once, a few dozen of them; a case picks some. First come the cases that show one deviation
each, then every order of some certificates, then random ones from a fixed seed.
"""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import permutations
from pathlib import Path
from typing import Final

import certificates
from certificates import BEGIN, CLIENT_AUTH, END, FUTURE, PAST, SERVER_AUTH, Made, cross, element, intermediate, root
from trustmend.certificate import Certificate

NOW: Final = datetime.now(UTC).replace(microsecond=0)
OLD_ENDS: Final = datetime(2035, 1, 1, tzinfo=UTC)
TIMES: Final = (PAST, PAST + timedelta(seconds=1), OLD_ENDS, OLD_ENDS + timedelta(seconds=1), END, FUTURE,
                BEGIN - timedelta(seconds=1), BEGIN)  # fmt: skip
PLAIN: Final = "plain"
FORMS: Final = ("reject serverAuth", "trust serverAuth", "trust emailProtection", "reject emailProtection")
"""How a certificate can stand in a PEM store: as it is, or as a TRUSTED CERTIFICATE block of openssl's."""

_MARKED: Final = ("new", "old", "new by old", "mid", "issuing", "lower", "new other key", "new expired")

_NOT_CRITICAL: Final = ("2.5.29.19", False, element(0x30, element(1, b"\xff")))
_UNKNOWN: Final = ("1.3.6.1.4.1.55555.1", True, element(5))


def _names(*, permitted: str = "", excluded: str = "") -> tuple[str, bool, bytes]:
    """A nameConstraints extension of one DNS subtree (RFC 5280 4.2.1.10)."""
    tag, host = (0xA0, permitted) if permitted else (0xA1, excluded)
    return "2.5.29.30", True, element(0x30, element(tag, element(0x30, element(0x82, host.encode()))))


@cache
def pool() -> Mapping[str, Made]:
    """All certificates by what is special about them; "new", "mid" and "issuing" are the good ones."""
    new, old = root("New Root"), root("Old Root", not_after=OLD_ENDS)
    expired, stranger = root("Expired Root", not_after=PAST), root("Stranger")
    mid = intermediate(new, "Middle CA")
    weak, strong = root("Weak Root", kind="rsa-1024"), root("RSA Root", kind="rsa")
    roots = {
        "new": new, "old": old, "expired": expired, "stranger": stranger, "weak": weak, "strong": strong,
        "new expired": root("New Root", not_after=PAST),
        "new future": root("New Root", not_before=FUTURE),
        "new again": root("New Root", serial=77),
        "new other key": root("New Root", key="stolen"),
        "new other key, no SKI": root("New Root", key="stolen", ski=False),
        "new other key, same SKI": root("New Root", key="stolen", ski=new.certificate.subject_key_id),
        "new renamed": root("Renamed Root", key="New Root"),
        "new v1": root("New Root", version=1),
        "new no SKI": root("New Root", ski=False),
        "new other SKI": root("New Root", ski=b"\1" * 20),
        "new wrong AKI": root("New Root", aki=b"\2" * 20),
        "new SHA-1": root("New Root", digest="sha1"),
        "new no BC": root("New Root", ca=None),
        "new no BC, no KU": root("New Root", ca=None, key_usage=None),
        "new no KU": root("New Root", key_usage=None),
        "new no CA": root("New Root", ca=False),
        "new signs nothing": root("New Root", key_usage=frozenset({0})),
        "new for clients": root("New Root", purposes=(CLIENT_AUTH,)),
        "new path length 0": root("New Root", path_length=0),
        "new path length 1": root("New Root", path_length=1),
        "new BC not critical": root("New Root", ca=None, extra=(_NOT_CRITICAL,)),
        "new bad signature": root("New Root", bad_signature=True),
        "new for localhost": root("New Root", extra=(_names(permitted="localhost"),)),
        "new unknown extension": root("New Root", extra=(_UNKNOWN,)),
    }  # fmt: skip
    crosses = {
        "new by old": cross(new, old, not_after=OLD_ENDS),
        "new by old, again": cross(new, old, not_after=OLD_ENDS, serial=78),
        "new by old, expired": cross(new, old, not_after=PAST),
        "new by old, future": cross(new, old, not_before=FUTURE),
        "new by old, no SKI": cross(new, old, not_after=OLD_ENDS, ski=False),
        "new by old, no AKI": cross(new, old, not_after=OLD_ENDS, aki=False),
        "new by old, wrong AKI": cross(new, old, not_after=OLD_ENDS, aki=b"\3" * 20),
        "new by old, SHA-1": cross(new, old, not_after=OLD_ENDS, digest="sha1"),
        "new by old, path length 0": cross(new, old, not_after=OLD_ENDS, path_length=0),
        "new by old, bad signature": cross(new, old, bad_signature=True),
        "new by old, no CA": cross(new, old, ca=False),
        "new by old, for clients": cross(new, old, purposes=(CLIENT_AUTH,)),
        "new by expired": cross(new, expired, not_after=PAST),
        "new by expired, still good": cross(new, expired),
        "new by stranger": cross(new, stranger),
        "old by new": cross(old, new),
        "old by stranger": cross(old, stranger),
        "mid": mid,
        "mid by old": cross(mid, old),
        "mid expired": cross(mid, new, not_after=PAST),
        "mid path length 0": cross(mid, new, path_length=0),
        "mid no AKI": cross(mid, new, aki=False),
        "mid other key": intermediate(new, "Middle CA", key="stolen mid"),
        "mid for clients": cross(mid, new, purposes=(CLIENT_AUTH,)),
        "mid as root": root("Middle CA"),
    }
    return {**roots, **crosses, **_issuers(new, old, mid, weak, strong)}


def _issuers(new: Made, old: Made, mid: Made, weak: Made, strong: Made) -> dict[str, Made]:
    """Issuing CAs; those whose names begin alike have one key and one name."""
    issuing = intermediate(new, "Issuing CA", path_length=0)
    lower = intermediate(mid, "Lower CA", path_length=0)

    def varied(**deviation: object) -> Made:
        return cross(issuing, new, **deviation)

    return {
        "issuing": issuing,
        "issuing again": varied(serial=79),
        "issuing by old": cross(issuing, old),
        "issuing by old, expired": cross(issuing, old, not_after=PAST),
        "issuing expired": varied(not_after=PAST),
        "issuing future": varied(not_before=FUTURE),
        "issuing no SKI": varied(ski=False),
        "issuing other SKI": varied(ski=b"\4" * 20),
        "issuing no AKI": varied(aki=False),
        "issuing wrong AKI": varied(aki=b"\5" * 20),
        "issuing SHA-1": varied(digest="sha1"),
        "issuing v1": varied(version=1),
        "issuing no BC": varied(ca=None, path_length=None),
        "issuing no BC, no KU": varied(ca=None, path_length=None, key_usage=None),
        "issuing BC not critical": varied(ca=None, path_length=None, extra=(_NOT_CRITICAL,)),
        "issuing no CA": varied(ca=False, path_length=None),
        "issuing no KU": varied(key_usage=None),
        "issuing signs nothing": varied(key_usage=frozenset({0})),
        "issuing for clients": varied(purposes=(CLIENT_AUTH,)),
        "issuing for servers": varied(purposes=(SERVER_AUTH, CLIENT_AUTH)),
        "issuing no path length": varied(path_length=None),
        "issuing bad signature": varied(bad_signature=True),
        "issuing unknown extension": varied(extra=(_UNKNOWN,)),
        "issuing for localhost": varied(extra=(_names(permitted="localhost"),)),
        "issuing other key": intermediate(new, "Issuing CA", key="stolen issuing"),
        "issuing as root": root("Issuing CA"),
        "lower": lower,
        "lower by new": cross(lower, new),
        "lower no AKI": cross(lower, mid, aki=False),
        "lower SHA-1": cross(lower, mid, digest="sha1"),
        "weak issuing": intermediate(weak, "Weak Issuing CA"),
        "strong issuing": intermediate(strong, "Strong Issuing CA", kind="rsa"),
        "weak below strong": intermediate(strong, "Weaker Issuing CA", kind="rsa-1024"),
        "strong issuing SHA-1": intermediate(strong, "Strong Issuing CA", kind="rsa", digest="sha1"),
    }


@dataclass(frozen=True, slots=True)
class Case:
    """Would a reader with this store trust a leaf of `issuing`, sent before these certificates, at this time?"""

    store: tuple[tuple[str, str], ...]  # member of the pool, form
    issuing: str
    sent: tuple[str, ...]
    at: datetime

    @property
    def plain(self) -> bool:
        """No TRUSTED CERTIFICATE block is in the store."""
        return all(form == PLAIN for _, form in self.store)

    @property
    def issuing_ca(self) -> Certificate:
        """The issuing CA's certificate."""
        return pool()[self.issuing].certificate

    def members(self) -> Iterator[str]:
        """All members of the pool in it."""
        yield from (member for member, _ in self.store)
        yield from self.sent

    def __str__(self) -> str:
        store = ", ".join(f"{m}" if f == PLAIN else f"{m} [{f}]" for m, f in self.store)
        return f"store ({store}) leaf of ({self.issuing}) sent ({', '.join(self.sent)}) at {self.at:%F %T}"


def cases(count: int) -> Sequence[Case]:
    """The first `count` cases, each once."""
    found: dict[Case, None] = {}
    for case in _all():
        found[case] = None
        if len(found) == count:
            break
    return list(found)


def _all() -> Iterator[Case]:
    yield from _single_deviations()
    yield from _orders()
    yield from _random(random.Random(2019))  # noqa: S311  no secret


def _case(store: Sequence[str], issuing: str, sent: Sequence[str], at: datetime = NOW) -> Case:
    return Case(tuple((member, PLAIN) for member in store), issuing, tuple(sent), at)


def _single_deviations() -> Iterator[Case]:
    for member in pool():
        if member.startswith("new") and " by " not in member:
            yield _case([member], "issuing", ["issuing"])
            yield _case([member], "issuing", ["issuing", member])
            yield _case([member], "lower", ["lower", "mid"])
            yield _case([member], "new", [])
            yield _case([member, "new"], "issuing", ["issuing"])
            yield _case(["new"], "issuing", ["issuing", member])
        elif member.startswith("new by"):
            yield _case(["old"], "issuing", ["issuing", member])
            yield _case([member], "issuing", ["issuing"])
            yield _case(["new"], "issuing", ["issuing", member])
            yield _case(["old", "new"], "issuing", ["issuing", member])
            yield _case([member, "old"], "issuing", ["issuing"])
        elif member.startswith("mid"):
            yield _case(["new"], "lower", ["lower", member])
            yield _case([member], "lower", ["lower"])
            yield _case(["new", member], "lower", ["lower"])
        elif member.startswith(("issuing", "lower", "weak", "strong")):
            yield _case(["new", "strong", "weak"], member, [member, "mid"])
            yield _case([member], member, [])
            yield _case([member], member, [member])
            yield _case(["new", "mid", "strong", "weak", member], member, [])
            if member.startswith("issuing"):
                yield _case(["new"], "issuing", [member])
                yield _case(["new"], "issuing", [member, "issuing"])
                yield _case([member, "issuing"], "issuing", [])


def _orders() -> Iterator[Case]:
    for three in permutations(("new", "old", "new by old")):
        yield _case(three, "issuing", ["issuing"])
    for three in permutations(("issuing", "new by old", "old")):
        yield _case(["new"], "issuing", three)
        yield _case(["old"], "issuing", three)
    for four in permutations(("new by expired", "expired", "new", "issuing")):
        yield _case(four, "issuing", ["issuing"])
    for four in permutations(("lower", "mid", "new by old", "old by stranger")):
        yield _case(["stranger"], "lower", four)


_CHAINS: Final = {
    "issuing": (("issuing",), ("issuing", "new by old"), ("issuing", "new")),
    "lower": (("lower", "mid"), ("lower", "mid", "new by old"), ("lower", "mid", "new")),
    "new": ((), ("new",), ("new by old",)),
    "weak issuing": (("weak issuing",), ("weak issuing", "weak")),
    "strong issuing": (("strong issuing",), ("strong issuing", "strong")),
    "weak below strong": (("weak below strong",),),
}


def _random(chance: random.Random) -> Iterator[Case]:
    members = list(pool())
    related = [m for m in members if not m.startswith(("weak", "strong"))]
    while True:
        issuing = chance.choices(list(_CHAINS), (12, 8, 2, 1, 1, 1))[0]
        sent = [_varied(chance, member, members) for member in chance.choice(_CHAINS[issuing])]
        sent += chance.sample(related, chance.choice((0, 0, 0, 1, 1, 2)))
        if chance.random() < 0.15:
            chance.shuffle(sent)
        if chance.random() < 0.1:
            del sent[:1]
        good = {"weak issuing": "weak", "strong issuing": "strong", "weak below strong": "strong"}.get(issuing, "new")
        store = [_varied(chance, chance.choice((good, good, "old", "mid", issuing)), members)]
        store += chance.sample(related, chance.choice((0, 1, 1, 2, 3, 4)))
        chance.shuffle(store)
        if chance.random() < 0.05:
            store.append(store[0])
        forms = [chance.choice(FORMS) if m in _MARKED and chance.random() < 0.15 else PLAIN for m in store]
        issuer = _varied(chance, issuing, members) if chance.random() < 0.1 else issuing
        at = chance.choice(TIMES) if chance.random() < 0.2 else NOW
        yield Case(tuple(zip(store, forms, strict=True)), issuer, tuple(sent), at)


def _varied(chance: random.Random, member: str, members: Sequence[str]) -> str:
    """The member, or another that is called after it."""
    if chance.random() < 0.55:
        return member
    return chance.choice([other for other in members if other == member or other.startswith(f"{member} ")])


def has_no_ca(case: Case) -> bool:
    """Whether a certificate of version 3 in the store is no CA."""
    held = [pool()[member].certificate for member, form in case.store if form == PLAIN]
    return any(one.version == 3 and (one.basic_constraints is None or not one.is_ca) for one in held)


def has_sha1(case: Case) -> bool:
    """Whether a certificate is signed with SHA-1."""
    return any(pool()[member].spec.digest == "sha1" for member in case.members())


@dataclass(frozen=True, slots=True)
class Planted:
    """One case's files: its store, the same without TRUSTED CERTIFICATE blocks, and what the server sends."""

    store: str
    plain: str
    chain: str
    key: str
    at: datetime


def plant(chosen: Sequence[Case], folder: Path) -> list[Planted]:
    """Write the files; equal stores and chains are one file."""
    paths: dict[bytes, str] = {}

    def path(content: bytes) -> str:
        if content not in paths:
            paths[content] = str(folder / f"{len(paths)}.pem")
            Path(paths[content]).write_bytes(content)
        return paths[content]

    planted = []
    for case in chosen:
        leaf = leaf_of(case.issuing, case.at)
        chain = leaf.pem + b"".join(pool()[member].pem for member in case.sent)
        store, plain = store_pem(case), store_pem(case, plain=True)
        planted.append(Planted(path(store), path(plain), path(chain), path(leaf.key_pem), case.at))
    return planted


def store_pem(case: Case, *, plain: bool = False) -> bytes:
    """The store's bytes; `plain` leaves TRUSTED CERTIFICATE blocks out."""
    return b"".join(_block(member, form) for member, form in case.store if form == PLAIN or not plain)


@cache
def _block(member: str, form: str) -> bytes:
    made = pool()[member]
    if form == PLAIN:
        return made.pem
    option, purpose = form.split()
    arguments = ["openssl", "x509", f"-add{option}", purpose, "-trustout"]
    return subprocess.run(arguments, input=made.pem, capture_output=True, check=True).stdout


@cache
def leaf_of(issuing: str, at: datetime) -> Made:
    """A server's certificate for `localhost`, valid then, that names its issuer as the engine assumes."""
    issuer = pool()[issuing]
    hour = timedelta(hours=1)
    aki = issuer.certificate.subject_key_id or False
    return certificates.leaf(issuer, "localhost", aki=aki, not_before=at - hour, not_after=at + hour)
