"""Judging: 100 stores, the 10 chains that ship, 6 things that a server may send, all readers. usage: verdicts.py [RUNS]

It wants PYTHONPATH to hold src, and the environment of the tests. The stores are this machine's own bundle of roots
in other orders, with and without the certificates that decide; they are read before the clock starts.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from trustmend import bundle
from trustmend.bundle import Chain
from trustmend.certificate import Certificate
from trustmend.formats import pem
from trustmend.model import Entry
from trustmend.readers import READERS
from trustmend.validate import Anchors, validate

SYSTEM = "/etc/ssl/certs/ca-certificates.crt"
STORES = 100
TARGET_S = 1.0


def main() -> None:
    """Measure and print."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    bundles = [bundle.load(name) for name in ("sectigo-2019", "sectigo-2025")]
    chains = [chain for one in bundles for chain in one.chains]
    certificates = [c.certificate for one in bundles for c in one.certificates]
    siblings = [s.certificate for one in bundles for s in one.siblings]
    stores = list(_stores([*certificates, *siblings]))
    asked = [(chain.path[0], sent) for chain in chains for sent in _sends(chain, siblings)]
    at = datetime.now(UTC)
    took, worked = [], []
    for _ in range(runs):
        start, busy = time.perf_counter(), time.process_time()
        for entries in stores:
            anchors = Anchors(entries)
            for issuing, sent in asked:
                for reader in READERS.values():
                    validate(issuing, sent, anchors, reader, at)
        took.append(time.perf_counter() - start)
        worked.append(time.process_time() - busy)
    count = len(stores) * len(asked) * len(READERS)
    print(f"{count} verdicts on {len(stores)} stores: {statistics.median(took):.3f} s")
    words = f"the first time {worked[0]:.3f} s, in all {statistics.median(worked):.3f} s"
    print(f"of the processor's time, whatever else the machine does: {words}")
    if worked[0] > TARGET_S:
        raise SystemExit(f"that is more than {TARGET_S} s")


def _stores(deciding: Sequence[Certificate]) -> Iterator[tuple[Entry, ...]]:
    """The machine's roots with some of the deciding certificates, in some order."""
    with open(SYSTEM, "rb") as file:
        base = [entry.certificate for entry in pem.read(file.read()).entries]
    chance = random.Random(2019)  # noqa: S311  no secret
    for _ in range(STORES):
        held = [c for c in base if chance.random() < 0.9] + chance.sample(deciding, chance.randrange(8))
        chance.shuffle(held)
        yield tuple(Entry(certificate, position) for position, certificate in enumerate(held))


def _sends(chain: Chain, siblings: Sequence[Certificate]) -> Iterator[tuple[Certificate, ...]]:
    """Nothing, the issuing CA, all but the root, the root too, a cross-sign, and one that has expired."""
    path = chain.path
    alternate = chain.alternates[0][:-1] if chain.alternates else path[1:]
    yield from ((), path[:1], path[:-1], path, alternate, (*path[:-1], *siblings[:1]))


if __name__ == "__main__":
    main()
