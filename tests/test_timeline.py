"""When trust ends: the spans of a store, and the warning before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import shipped
from command import trustmend
from trustmend import timeline
from trustmend.audit import judge
from trustmend.bundle import load
from trustmend.formats import pem
from trustmend.host import Host
from trustmend.model import Family, Role, Store

AT = datetime(2026, 11, 25, tzinfo=UTC)


def store(*names: str) -> Store:
    content = pem.read(b"".join(shipped.pem(name) for name in names))
    return Store("id", "/ca.pem", (), Family.CUSTOM, Role.PUBLIC, content)


def spans(held: Store, bundle: str, chain: str, at: datetime = AT) -> list[tuple[str, str | None, str]]:
    (line,) = [one for one in timeline.lines(held, [load(bundle, host=Host())], at) if one.chain.id == chain]
    return [(s.verdict.value, None if s.end is None else f"{s.end:%Y-%m-%d}", s.event) for s in line.spans]


def test_trust_by_the_old_root_ends_with_it() -> None:
    found = spans(store("root-aaa", "cross-usertrust-rsa-by-aaa"), "sectigo-2019", "sectigo-rsa-dv")

    assert [(verdict, end) for verdict, end, _ in found] == [("trusted", "2029-01-01"), ("untrusted", None)]
    assert "AAA Certificate Services expires" in found[0][2]


def test_trust_by_the_root_ends_with_the_issuing_ca() -> None:
    ((verdict, end, event), after) = spans(store("root-usertrust-rsa"), "sectigo-2019", "sectigo-rsa-dv")

    assert (verdict, end) == ("trusted", "2031-01-01")
    assert event == "Sectigo RSA Domain Validation Secure Server CA by USERTrust RSA Certification Authority expires"
    assert after == ("untrusted", None, "")


def test_before_a_root_begins_nothing_is_trusted() -> None:
    at = datetime(2000, 1, 1, tzinfo=UTC)
    first, *_ = spans(store("root-usertrust-rsa"), "sectigo-2019", "sectigo-rsa-dv", at)

    assert first[0] == "untrusted"
    assert first[2].endswith("becomes valid")


@given(st.integers(0, 20_000))
def test_each_span_is_what_an_audit_of_that_day_says(days: int) -> None:
    bundle = load("sectigo-2025", host=Host())
    held = store("root-usertrust-rsa", "root-aaa", "cross-sectigo-r46-by-usertrust-rsa", "root-sectigo-e46")
    when = AT + timedelta(days=days)
    for line, judged in zip(timeline.lines(held, [bundle], AT), judge(held, [bundle], when).chains, strict=True):
        (span,) = [s for s in line.spans if s.begin <= when and (s.end is None or when < s.end)]
        assert span.verdict is judged.verdict, (line.chain.id, when)


@pytest.mark.parametrize(
    ("at", "days", "warned"), [("2028-11-01", 90, True), ("2028-11-01", 30, False), ("2026-01-01", 90, False)]
)
def test_a_store_that_will_break_soon_is_warned_of(tmp_path: Path, at: str, days: int, *, warned: bool) -> None:
    path = tmp_path / "old.pem"
    path.write_bytes(shipped.pem("root-aaa") + shipped.pem("cross-usertrust-rsa-by-aaa"))
    words = ["audit", "--json", "--at", at, "--warn-days", days, path]

    codes = {finding["code"]: finding["message"] for finding in trustmend(*words).store(path)["findings"]}

    assert ("breaks-soon" in codes) is warned
    if warned:
        assert "on 2028-12-31" in codes["breaks-soon"]


def test_the_table_and_the_json(tmp_path: Path) -> None:
    path = tmp_path / "old.pem"
    path.write_bytes(shipped.pem("root-aaa") + shipped.pem("cross-usertrust-rsa-by-aaa"))
    words = ["audit", "--timeline", "--at", "2026-11-25", path]

    shown = trustmend(*words)
    row = trustmend(*words, "--json").store(path)

    assert "trusted until 2028-12-31" in " ".join(shown.out.split())
    (chain,) = [chain for chain in row["chains"] if chain["chain"] == "sectigo-rsa-dv"]
    assert [(one["verdict"], one["from"], one["to"]) for one in chain["timeline"]] == [
        ("trusted", "2026-11-25T00:00:00Z", "2029-01-01T00:00:00Z"),
        ("untrusted", "2029-01-01T00:00:00Z", None),
    ]
