"""Root looks at no file for a user who may not: what configuration is read, and what it may name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from places.planted import Root
from trustmend.discover import discover
from trustmend.places.config.hit import may_name

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files to others")
ANN, SECRETS = 1000, 4242


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """A host with a user ann, of the group `secrets`, and files that she may or may not read."""
    planted = Root(tmp_path / "root")
    planted.passwd("/home/ann")
    planted.file("/etc/group", b"secrets:x:4242:u0\n")
    os.chown(planted.folder / "home/ann", ANN, ANN)
    own(planted, planted.file("/home/ann/.curlrc", b"cacert = /root/secret.pem\n"), ANN)
    for path, mode, group in (
        ("/root/secret.pem", 0o600, 0),
        ("/etc/group.pem", 0o640, SECRETS),
        ("/etc/all.pem", 0o644, 0),
    ):
        os.chmod(planted.folder / planted.file(path).lstrip("/"), mode)
        os.chown(planted.folder / path.lstrip("/"), 0, group)
    os.chmod(planted.folder / "root", 0o711)  # noqa: S103  its files are what is closed
    return planted


def own(root: Root, path: str, user: int, mode: int = 0o644) -> str:
    os.chown(root.folder / path.lstrip("/"), user, user)
    os.chmod(root.folder / path.lstrip("/"), mode)
    return path


@pytest.mark.parametrize(
    ("value", "hers"),
    [
        ("/root/secret.pem", False),
        ("/etc/group.pem", True),
        ("/etc/all.pem", True),
        ("/home/ann/ca.pem", True),
        ("/home/ann/link", False),
        ("/home/ann/missing", True),
        ("/root/private/anything", False),
    ],
)
def test_a_users_file_names_what_the_user_may_read(root: Root, value: str, *, hers: bool) -> None:
    own(root, root.file("/home/ann/ca.pem"), ANN, 0o600)
    root.link("/home/ann/link", "/root/secret.pem")
    (root.folder / "root/private").mkdir(mode=0o700)

    assert may_name(root.host, "/home/ann/.curlrc", value) is hers


def test_roots_own_file_names_all_but_not_where_others_write_it(root: Root) -> None:
    config = own(root, root.file("/etc/curlrc"), 0)
    assert may_name(root.host, config, "/root/secret.pem")

    own(root, config, 0, 0o664)
    assert may_name(root.host, config, "/root/secret.pem")

    os.chown(root.folder / "etc/curlrc", 0, SECRETS)
    assert not may_name(root.host, config, "/root/secret.pem")
    assert not may_name(root.host, config, "/etc/group.pem")
    assert may_name(root.host, config, "/etc/all.pem")


def test_a_planted_secret_is_not_told(root: Root) -> None:
    """By any way of a user's files: a value, a link in a file's place, an include, an environment file."""
    root.file("/root/gitconfig", b"[http]\n sslCAInfo = /root/inner.pem\n")
    os.chmod(root.folder / "root/gitconfig", 0o600)
    root.file("/root/environment", b"SSL_CERT_FILE=/root/inner.pem\n")
    os.chmod(root.folder / "root/environment", 0o600)
    own(root, root.file("/home/ann/.gitconfig", b"[include]\n path = /root/gitconfig\n"), ANN)
    unit = b"[Service]\nEnvironmentFile=/root/environment\n"
    own(root, root.file("/home/ann/.config/systemd/user/a.service", unit), ANN)
    root.link("/home/ann/.npmrc", "/root/npmrc")
    root.file("/root/npmrc", b"cafile=/etc/all.pem\n")
    os.chmod(root.folder / "root/npmrc", 0o600)

    assert [one.path for one in discover(root.host) if "/root" in one.path or one.path == "/etc/all.pem"] == []

    own(root, "/home/ann/.curlrc", 0)
    assert "/root/secret.pem" in [one.path for one in discover(root.host)]
