"""The search of the disk that begins before the command line is read."""

from __future__ import annotations

import pytest

from trustmend.cli import start
from trustmend.discover import left_alone
from trustmend.host import Host


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("audit", True),
        ("stores --json", True),
        ("audit --bundle all --at 2026-01-01 -o /tmp/x", True),
        ("audit --scan /srv", True),
        ("", False),
        ("show /etc/x", False),
        ("bundle list", False),
        ("audit /etc/x", False),
        ("audit --bundle all /etc/x", False),
        ("audit --all", False),  # that search goes into more folders
        ("--root /mnt audit", False),
        ("audit --help", False),
    ],
)
def test_it_is_begun_only_where_it_will_be_wanted(words: str, expected: bool) -> None:
    assert start._will_search(words.split()) is expected


def test_what_was_begun_is_used_where_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "_begun", [])
    host = Host.of(None)
    start._begin()
    (begun,) = start._begun

    other = start.survey(Host("/nowhere"), frozenset())
    same = start.survey(host, left_alone(host, own=False))

    assert other is not begun
    assert same is begun
    assert start._begun == []
    for pending in (other, same):
        pending.close()
