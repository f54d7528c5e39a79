"""The smallest change to a store after which it trusts the required chains: found by trying, for `show`. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import combinations
from typing import Final

from trustmend.audit import Judged, judge
from trustmend.bundle import Bundle
from trustmend.certificate import Certificate, canonical_name, name_label
from trustmend.model import Content, Entry, Loaded, Verdict

_MOST_ADDED: Final = 3
_MOST_LOOKED_AT: Final = 12
"""Entries that a removal is tried of: those that could stand in a path are few, save in a store made to confuse."""


@dataclass(frozen=True)
class Change:
    """What to add, take out or move to the front; one of them alone is not empty, unless both of the first are."""

    add: tuple[Certificate, ...] = ()
    remove: tuple[Certificate, ...] = ()
    move: tuple[Certificate, ...] = ()

    @property
    def words(self) -> str:
        """It as an order, without a full stop."""
        parts = []
        if self.remove:
            parts.append(f"take out {_listed(self.remove)}")
        if self.move:
            parts.append(f"move {_listed(self.move)} before the certificates of the same name")
        if self.add:
            parts.append(f"add {_listed(self.add)}")
        return " and ".join(parts)


def _listed(certificates: Sequence[Certificate]) -> str:
    return " and ".join(
        f"{c.label} ({c.sha256[:16]}...)"
        if c.self_issued
        else f"{c.label} by {name_label(c.issuer)} ({c.sha256[:16]}...)"
        for c in certificates
    )


def smallest(judged: Judged, bundles: Sequence[Bundle], at: datetime) -> Change | None:
    """The first of the changes, fewest certificates first, that makes the store trusted; None where none does.

    Tried are additions of what the bundles install, an order with the roots first, and removals of entries that have
    the name of a certificate of a chain, alone and with an addition.

    Args:
        judged: a store that was read and refuses.
        bundles, at: what it was judged for.
    """
    store = judged.store
    if judged.verdict in (Verdict.TRUSTED, Verdict.UNREADABLE) or not any(
        isinstance(view, Loaded) for view in store.content.views.values()
    ):
        return None

    def helps(change: Change) -> bool:
        changed = replace(store, content=_changed(store.content, change))
        return judge(changed, bundles, at).verdict is Verdict.TRUSTED

    return next(filter(helps, _candidates(judged, bundles)), None)


def _candidates(judged: Judged, bundles: Sequence[Bundle]) -> Iterator[Change]:
    """Changes, the smaller ones first; an addition before a removal of as many."""
    held = {e.certificate for e in judged.store.content.entries}
    install = {c.certificate.sha256: c.certificate for b in bundles for c in b.install}
    addable = sorted((c for c in install.values() if c not in held), key=lambda c: not c.self_signed)
    names = {canonical_name(c.subject) for b in bundles for chain in b.chains for c in chain.path}
    named = list(
        {
            c.sha256: c for e in judged.store.content.entries if canonical_name((c := e.certificate).subject) in names
        }.values()
    )
    suspects = named[:_MOST_LOOKED_AT]
    yield from (Change(move=(c,)) for c in suspects if c.self_signed)
    for count in range(1, _MOST_ADDED + 1):
        yield from (Change(add=some) for some in combinations(addable, count))
        yield from (Change(remove=some) for some in combinations(suspects, count))
        if count > 1:
            yield from (
                Change(add=more, remove=(one,)) for one in suspects for more in combinations(addable, count - 1)
            )


def _changed(content: Content, change: Change) -> Content:
    """The content as every reader that loads it would then see it; what is added or moved is met first."""
    new = tuple(Entry(c, len(content.entries) + at) for at, c in enumerate(change.add))
    away = {*change.remove, *change.move}

    def turned(entries: Sequence[Entry]) -> tuple[Entry, ...]:
        moved = tuple(e for e in entries if e.certificate in change.move)
        return (*new, *moved, *(e for e in entries if e.certificate not in away))

    views = {n: replace(v, entries=turned(v.entries)) if isinstance(v, Loaded) else v for n, v in content.views.items()}
    return replace(content, entries=turned(content.entries), views=views, empty=False)
