"""Writing folders of certificates that libraries find by hash links (OpenSSL's CApath). Pure.

Source: OpenSSL crypto/x509/by_dir.c, get_cert_by_subject: `<hash>.0`, then `.1` and so on until one is missing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from trustmend.certificate import Certificate, name_hash
from trustmend.formats.directory import HASH_LINK


@dataclass(frozen=True)
class Move:
    """One name in a folder of certificates that becomes something else, in the order in which it is done.

    certificate: it becomes a file of this. link: it becomes a link to this name. like: it becomes what stands at this
    name now. away: nothing stands there any more.
    """

    name: str
    certificate: Certificate | None = None
    link: str | None = None
    like: str | None = None
    away: bool = False


def moves(names: Mapping[str, str], certificates: Sequence[tuple[str, Certificate]], *, der: bool) -> list[Move]:
    """How certificates come into a folder: a file each, and a hash link, of which a root's has the lowest number.

    At every moment between the moves each old certificate has a link without a gap before it.

    Args:
        names: what is in the folder.
        certificates: to be added, each with the bare name of its file, without an ending.
        der: as DER files and without links.
    """
    taken = set(names)
    found: list[Move] = []
    for base, one in certificates:
        file = _free_name(base, ".der" if der else ".pem", taken)
        taken.add(file)
        found.append(Move(file, certificate=one))
        if der:
            continue
        digits = name_hash(one)
        count = next(n for n in range(len(taken) + 1) if f"{digits}.{n}" not in taken)
        first = 0 if one.self_signed else count
        found += [Move(f"{digits}.{n}", like=f"{digits}.{n - 1}") for n in range(count, first, -1)]
        found.append(Move(f"{digits}.{first}", link=file))
        taken.add(f"{digits}.{count}")
    return found


def _free_name(name: str, suffix: str, taken: set[str]) -> str:
    found = f"{name}{suffix}"
    number = 2
    while found in taken:
        found = f"{name}-{number}{suffix}"
        number += 1
    return found


def closing(names: Mapping[str, str], gone: Collection[str]) -> list[Move]:
    """The moves after which these hash links are gone and the others follow each other without a gap.

    Args:
        names: what is in the folder.
        gone: names of hash links to be taken away; others are left alone.
    """
    by_hash: dict[str, list[int]] = {}
    for name in names:
        if link := HASH_LINK.match(name):
            by_hash.setdefault(link[1], []).append(int(link[2]))
    found: list[Move] = []
    for digits, numbers in sorted(by_hash.items()):
        left = [n for n in sorted(numbers) if f"{digits}.{n}" not in gone]
        if len(left) == len(numbers):
            continue
        found += [Move(f"{digits}.{to}", like=f"{digits}.{n}") for to, n in enumerate(left) if to != n]
        found += [Move(f"{digits}.{n}", away=True) for n in sorted(numbers)[len(left) :][::-1]]
    return found
