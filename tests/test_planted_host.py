"""Every place on one planted host: each store found once and for what it is, no decoy taken for one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import planted
from command import trustmend

STORES = [row for row in planted.rows("store") if row.needs is None or shutil.which(row.needs)]
DECOYS = planted.rows("decoy")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planted")
    for row in (*STORES, *DECOYS):
        planted.plant(folder, row)
    return folder


@pytest.fixture(scope="module")
def audited(root: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = trustmend("--root", root, "audit", "--json").audit()["stores"]
    return rows


def test_there_are_enough_of_them() -> None:
    assert len({row.found for row in STORES}) >= 60
    assert len({row.path for row in DECOYS}) >= 20


@pytest.mark.parametrize("row", STORES, ids=lambda row: row.found)
def test_a_store_is_found_once_and_for_what_it_is(row: planted.Row, audited: list[dict[str, Any]]) -> None:
    found = [one for one in audited if row.found in (one["path"], *one["links"])]

    assert len(found) == 1, [one["path"] for one in audited if one["path"].startswith(os.path.dirname(row.found))]
    seen = {key: found[0][key] for key in ("kind", "family", "role", "verdict")}
    seen["readers"] = sorted({reader["reader"] for reader in found[0]["readers"]})
    assert seen == {key: row.wanted[key] for key in ("kind", "family", "role", "verdict", "readers")}
    if "how" in row.wanted:
        assert any(row.wanted["how"] in reader["how"] for reader in found[0]["readers"]), found[0]["readers"]


@pytest.mark.parametrize("row", DECOYS, ids=lambda row: row.path)
def test_a_decoy_is_no_trust_store(row: planted.Row, audited: list[dict[str, Any]]) -> None:
    assert not [one for one in audited if row.path in (one["path"], *one["links"])]


def test_nothing_is_found_that_was_not_planted(audited: list[dict[str, Any]]) -> None:
    planted_paths = {row.found for row in STORES}
    assert not [one["path"] for one in audited if not planted_paths & {one["path"], *one["links"]}]


def test_a_patch_leaves_private_stores_and_those_that_verify_clients_alone(root: Path) -> None:
    told = trustmend("--root", root, "patch", "--dry-run", "--json").json()
    named = {one["path"] for one in told["stores"]} | {one["path"] for one in told["cannot_fix"]}

    kept = [row for row in STORES if row.wanted["role"] in ("private", "client-auth", "unknown")]
    assert len(kept) >= 10
    assert not named & {row.found for row in kept}
    for one in told["stores"]:
        assert not {row.path for row in DECOYS} & set(one.get("files", []))


def test_no_secret_of_any_file_is_shown(root: Path) -> None:
    for words in (["audit"], ["audit", "--json"], ["stores"], ["stores", "--json"], ["patch", "--dry-run"]):
        told = trustmend("--root", root, *words)
        assert "s3cret" not in told.out + told.err, words


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_without_the_right_to_read_a_store_it_is_a_row_all_the_same(tmp_path: Path) -> None:
    row = next(row for row in STORES if row.path == "/etc/pki/corp/pip.pem")
    planted.plant(tmp_path, row)
    os.chmod(tmp_path / row.path.lstrip("/"), 0o600)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]

    (found,) = trustmend("--root", tmp_path, "audit", "--json", wrap=nobody).audit()["stores"]

    assert (found["path"], found["verdict"]) == (row.found, "unreadable")
    assert "permission denied" in found["error"]
