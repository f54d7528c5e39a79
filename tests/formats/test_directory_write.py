"""Writing hash directories: OpenSSL finds each old certificate at every moment, and a root before its namesakes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

import certificates
from trustmend.certificate import Certificate, name_hash
from trustmend.formats.directory_write import Move, closing, moves

ROOT = certificates.root("Root")
SAME_NAME = certificates.root("Root", key="another")
CROSS = certificates.cross(ROOT, certificates.root("Old"))
OTHER = certificates.root("Other")
HASH = name_hash(ROOT.certificate)


def done(names: dict[str, str], steps: list[Move]) -> list[dict[str, str]]:
    """The folder after each move; a file is "file"."""
    states = [dict(names)]
    for move in steps:
        now = dict(states[-1])
        if move.away:
            del now[move.name]
        elif move.link is not None:
            now[move.name] = move.link
        elif move.like is not None:
            now[move.name] = now[move.like]
        else:
            now[move.name] = "file"
        states.append(now)
    return states


def reached(names: dict[str, str]) -> list[str]:
    """What OpenSSL finds by this hash, in its order."""
    found: list[str] = []
    while f"{HASH}.{len(found)}" in names:
        found.append(names[f"{HASH}.{len(found)}"])
    return found


@given(
    st.integers(0, 4),
    st.lists(
        st.sampled_from([ROOT, SAME_NAME, CROSS, OTHER]).map(lambda made: made.certificate), unique=True, max_size=4
    ),
)
def test_no_old_certificate_is_ever_out_of_reach(count: int, wanted: list[Certificate]) -> None:
    names = {f"{HASH}.{n}": f"old-{n}.pem" for n in range(count)}

    states = done(names, moves(names, [(one.sha256[:8], one) for one in wanted], der=False))

    old = {f"old-{n}.pem" for n in range(count)}
    for state in states:
        assert old <= set(reached(state))
    for one in wanted:
        if name_hash(one) == HASH:
            assert f"{one.sha256[:8]}.pem" in reached(states[-1])


def test_a_root_gets_the_lowest_number_and_a_cross_sign_the_next_free_one() -> None:
    names = {f"{HASH}.0": "old.pem", "old.pem": ""}

    after = done(names, moves(names, [("root", ROOT.certificate), ("cross", CROSS.certificate)], der=False))[-1]

    assert reached(after) == ["root.pem", "old.pem", "cross.pem"]


def test_a_name_that_is_taken_is_left_alone() -> None:
    after = moves({"root.pem": ""}, [("root", ROOT.certificate)], der=False)

    assert [move.name for move in after] == ["root-2.pem", f"{HASH}.0"]


def test_der_files_get_no_links() -> None:
    assert [move.name for move in moves({}, [("root", ROOT.certificate)], der=True)] == ["root.der"]


@given(st.integers(0, 6), st.sets(st.integers(0, 6)))
def test_closing_leaves_no_gap_and_loses_nobody(count: int, gone: set[int]) -> None:
    names = {f"{HASH}.{n}": f"{n}.pem" for n in range(count)}

    states = done(names, closing(names, [f"{HASH}.{n}" for n in gone]))

    left = [f"{n}.pem" for n in range(count) if n not in gone]
    assert reached(states[-1]) == left
    for state in states:
        assert set(left) <= set(reached(state))
