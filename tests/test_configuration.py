"""trustmend's own configuration: what it names, what it leaves out, and what it refuses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import shipped
from command import trustmend
from keystores import Item, build
from trustmend import configuration
from trustmend.errors import RefusedError, TrustError, UsageError
from trustmend.host import Host
from trustmend.model import Role

ROOTS = shipped.pem("root-usertrust-rsa") + shipped.pem("root-usertrust-ecc")
KEY_STORE = [Item(kind, shipped.certificate(f"root-usertrust-{kind}").der) for kind in ("rsa", "ecc")]
FILE = "/etc/xdg/trustmend/config.toml"


def test_a_store_with_everything() -> None:
    text = b"""
        exclude = ["/srv/backup/", "old"]
        [[store]]
        path = "trust.jks"
        password-variable = "APP_PASS"
        reader = "jsse"
        role = "client-auth"
        [[store]]
        path = "/srv/ca.pem"
    """
    found = configuration.parse(text, FILE)

    assert found.exclude == ("/srv/backup", "/etc/xdg/trustmend/old")
    assert [one.path for one in found.stores] == ["/etc/xdg/trustmend/trust.jks", "/srv/ca.pem"]
    assert (found.stores[0].reader, found.stores[0].role) == ("jsse", Role.CLIENT_AUTH)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"exclude = [", "no TOML"),
        (b"\xff", "no TOML"),
        (b"exclude = 'x'", "list of paths"),
        (b"excludes = ['x']", "`excludes` is no key; there are exclude, store"),
        (b"store = 'x'", "[[store]]"),
        (b"[[store]]\nreader = 'jsse'", "without `path`"),
        (b"[[store]]\npath = 'x'\nreader = 'curly'", "`curly` is no reader; there are curl,"),
        (b"[[store]]\npath = 'x'\nrole = 'unknown'", "is no role"),
        (b"[[store]]\npath = 1", "text in quotes"),
        (b"[[store]]\npath = 'x'\nalias = 'y'", "`alias` is no key of a store"),
        (b"[[store]]\npath = 'x'\npassword = 'secret'", "no place for a password"),
        (b"[[store]]\npath = 'x'\npassword-file = 'a'\npassword-variable = 'b'", "give one"),
    ],
)
def test_what_means_nothing_is_refused(text: bytes, said: str) -> None:
    with pytest.raises(UsageError) as problem:
        configuration.parse(text, FILE)
    assert said in problem.value.message
    assert "secret" not in problem.value.message + problem.value.hint


@pytest.mark.parametrize(
    ("path", "excluded"),
    [
        ("/srv/backup", True),
        ("/srv/backup/a/b.pem", True),
        ("/srv/backups/b.pem", False),
        ("/home/ann/old/ca.pem", True),
        ("/home/old/ca.pem", False),
        ("/", False),
    ],
)
def test_exclude_is_a_folder_or_a_pattern(path: str, *, excluded: bool) -> None:
    assert configuration.Configuration(exclude=("/srv/backup", "/home/*/old")).excludes(path) is excluded


def test_audit_takes_stores_and_passwords_from_the_file(tmp_path: Path) -> None:
    store = tmp_path / "trust.jks"
    store.write_bytes(build(KEY_STORE, password="s3cret"))
    (tmp_path / "pw").write_text("s3cret\n")
    config = tmp_path / "config.toml"
    config.write_text('[[store]]\npath = "trust.jks"\npassword-file = "pw"\n')

    for paths in ([], [store]):
        ended = trustmend("--config", config, "audit", "--json", *paths)
        row = ended.store(store)
        assert (row["verdict"], row["readers"][0]["reader"]) == ("trusted", "jsse")
        assert str(config) in row["readers"][0]["how"]
        assert "s3cret" not in ended.out + ended.err


def test_a_password_that_is_not_there_is_said_beside_its_store(tmp_path: Path) -> None:
    store = tmp_path / "trust.jks"
    store.write_bytes(build(KEY_STORE, password="s3cret"))
    config = tmp_path / "config.toml"
    config.write_text('[[store]]\npath = "trust.jks"\npassword-file = "absent"\n')

    row = trustmend("--config", config, "audit", "--json", store).store(store)

    assert row["verdict"] != "trusted"
    assert any("cannot be read: No such file" in f["message"] for f in row["findings"])


def test_excluded_places_are_not_searched_but_named_ones_are_read(tmp_path: Path) -> None:
    kept, left = tmp_path / "kept" / "ca.pem", tmp_path / "left" / "ca.pem"
    for path in (kept, left):
        path.parent.mkdir()
        path.write_bytes(ROOTS)
    config = tmp_path / "config.toml"
    config.write_text('exclude = ["left"]\n')

    scanned = trustmend("--config", config, "stores", "--json", "--scan", tmp_path).json()["stores"]
    named = trustmend("--config", config, "stores", "--json", left).json()["stores"]

    assert [row["path"] for row in scanned] == [str(kept)]
    assert [row["path"] for row in named] == [str(left)]


def test_a_file_that_is_not_there_or_that_others_can_write(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    assert trustmend("--config", config, "audit").code == 2
    config.write_text("")
    config.chmod(0o666)
    ended = trustmend("--config", config, "audit")
    assert (ended.code, "can be written by other users" in ended.err) == (6, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root reads another user's file")
def test_another_users_file_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("")
    os.chown(config, 12345, 12345)
    with pytest.raises(RefusedError, match="another user"):
        configuration.load(str(config))


def test_the_machines_files_say_nothing_of_another_root() -> None:
    assert configuration.load(None, foreign=True) == configuration.Configuration()
    assert issubclass(RefusedError, TrustError)
    assert configuration.Configuration().locations(Host("/nowhere")) == []
