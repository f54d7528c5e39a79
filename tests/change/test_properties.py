"""For any stores: taking a patch back gives what was there, byte for byte, and a patch twice is a patch once."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import authority as authorities
import certificates
from patching import Bench, snapshot
from trustmend.certificate import name_hash

VENDOR = authorities.make()
MADE = (VENDOR.old, VENDOR.cross, VENDOR.issuing, VENDOR.expired, VENDOR.crossed_by_expired, VENDOR.stranger)
chosen = st.lists(st.sampled_from(MADE), min_size=1, max_size=5)
between = st.sampled_from([b"", b"\n", b"# text\r\n", "# Größe\n".encode()])
ends = st.sampled_from([b"", b"\n\n", b"the end"])


@given(chosen, between, ends, st.sampled_from([0o600, 0o644, 0o4755]))
def test_a_bundle(made: list[certificates.Made], text: bytes, end: bytes, mode: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = folder / "stores" / "ca.pem"
        store.parent.mkdir()
        store.write_bytes(text.join(certificates.bundle_pem(one) for one in made) + end)
        store.chmod(mode)

        round_trip(Bench([store], authorities.bundle(VENDOR), folder / "state"), store.parent)


@given(chosen, st.booleans())
def test_a_folder(made: list[certificates.Made], as_files: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = folder / "stores" / "certs"
        store.mkdir(parents=True)
        numbers: dict[str, int] = {}
        for one in made:
            digits = name_hash(one.certificate)
            link = f"{digits}.{numbers.setdefault(digits, 0)}"
            numbers[digits] += 1
            if as_files:
                (store / link).write_bytes(certificates.bundle_pem(one))
            else:
                (store / f"{one.sha256[:8]}-{link}.pem").write_bytes(certificates.bundle_pem(one))
                (store / link).symlink_to(f"{one.sha256[:8]}-{link}.pem")

        round_trip(Bench([store], authorities.bundle(VENDOR), folder / "state"), store.parent)


def round_trip(bench: Bench, folder: Path) -> None:
    before = snapshot(folder)
    plan = bench.plan()
    results = bench.patch(plan)
    assert all(result.state == "applied" for result in results), results
    if plan.steps:
        assert bench.trusted() == [True]
        assert not bench.plan().steps
        after = snapshot(folder)
        changed = {path for path in {*before, *after} if before.get(path) != after.get(path)}
        assert changed <= set(plan.steps[0].files)
        # Two links to one certificate change places without a difference.
        assert {path for path in plan.steps[0].files if path not in changed} <= set(before)
        assert bench.take_back() == []
    assert snapshot(folder) == before
    shutil.rmtree(bench.state)
