"""The smallest change that makes a store trusted."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

import certificates
import shipped
from command import trustmend
from trustmend.audit import judge
from trustmend.bundle import load
from trustmend.formats import pem
from trustmend.host import Host
from trustmend.model import Family, Role, Store
from trustmend.smallest import Change, smallest

AT = datetime(2026, 11, 25, tzinfo=UTC)
R46, E46, CROSS = "root-sectigo-r46", "root-sectigo-e46", "cross-sectigo-r46-by-usertrust-rsa"


def change(content: bytes, name: str = "sectigo-2025") -> Change | None:
    store = Store("id", "/ca.pem", (), Family.CUSTOM, Role.PUBLIC, pem.read(content))
    bundle = load(name, host=Host())
    return smallest(judge(store, [bundle], AT), [bundle], AT)


def test_one_root_is_enough_where_only_it_is_missing() -> None:
    found = change(shipped.pem("root-aaa"))

    assert found == Change(add=(shipped.certificate(R46),))
    assert (
        found.words == f"add Sectigo Public Server Authentication Root R46 ({shipped.certificate(R46).sha256[:16]}...)"
    )


def test_the_order_is_put_right_before_anything_is_added_or_taken_out() -> None:
    found = change(shipped.pem(CROSS) + shipped.pem(R46))

    assert found == Change(move=(shipped.certificate(R46),))
    assert found.words.endswith("before the certificates of the same name")


def test_nothing_is_said_of_a_store_that_trusts_or_that_no_reader_loads() -> None:
    assert change(shipped.pem(R46)) is None
    assert change(shipped.pem(R46)[:-60]) is None


@pytest.mark.parametrize("name", ["sectigo-2019", "sectigo-2025"])
def test_what_it_names_is_enough_and_needed(name: str) -> None:
    bundle = load(name, host=Host())
    found = change(certificates.root("Another").pem, name)

    assert found is not None
    assert not found.remove
    for left_out in found.add:
        rest = b"".join(c.pem for c in found.add if c != left_out)
        store = Store(
            "id", "/ca.pem", (), Family.CUSTOM, Role.PUBLIC, pem.read(certificates.root("Another").pem + rest)
        )
        assert judge(store, [bundle], AT).verdict != "trusted"


def test_show_says_it(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_bytes(shipped.pem(CROSS) + shipped.pem(R46))
    words = ["show", path, "--bundle", "sectigo-2025"]

    assert "The smallest change that would do: move Sectigo" in " ".join(trustmend(*words).out.split())
    told = trustmend(*words, "--json").json()["smallest_change"]
    assert (told["move"], told["add"]) == ([shipped.certificate(R46).sha256], [])
