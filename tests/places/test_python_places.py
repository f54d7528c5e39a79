"""Python's bundles in every kind of environment, on planted roots."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from places.planted import Root
from trustmend.host import Host
from trustmend.model import Family, Role
from trustmend.places import tree


@pytest.fixture
def root(tmp_path: Path) -> Root:
    root = Root(tmp_path / "root")
    root.passwd("/home/ann")
    return root


@pytest.mark.parametrize(
    "path",
    [
        "/usr/lib/python3/dist-packages/certifi/cacert.pem",
        "/usr/lib64/python3.9/site-packages/pip/_vendor/certifi/cacert.pem",
        "/usr/local/lib/python3.12/dist-packages/botocore/cacert.pem",
        "/home/ann/.local/lib/python3.11/site-packages/certifi/cacert.pem",
        "/home/ann/.pyenv/versions/3.13.1/lib/python3.13/site-packages/certifi/cacert.pem",
        "/home/ann/.local/share/pipx/venvs/httpie/lib/python3.11/site-packages/certifi/cacert.pem",
        "/home/ann/.local/share/uv/tools/ruff/lib/python3.11/site-packages/certifi/cacert.pem",
        "/home/ann/.cache/pypoetry/virtualenvs/shop-Xy-py3.11/lib/python3.11/site-packages/certifi/cacert.pem",
        "/home/ann/src/github.com/owner/project/.venv/lib/python3.11/site-packages/certifi/cacert.pem",
        "/home/ann/miniconda3/envs/data/lib/python3.10/site-packages/certifi/cacert.pem",
        "/opt/product/runtime/python/lib/python3.8/site-packages/requests/cacert.pem",
        "/srv/www/shop/venv/lib/python3.11/site-packages/httplib2/cacerts.txt",
        "/var/lib/jenkins/workspace/job/env/lib/python2.7/site-packages/requests/packages/certifi/cacert.pem",
        "/app/.venv/lib/python3.12/site-packages/grpc/_cython/_credentials/roots.pem",
        "/usr/share/google-cloud-sdk/lib/third_party/httplib2/python2/httplib2/cacerts.txt",
        "/opt/google-cloud-sdk/platform/gsutil/gslib/vendored/boto/boto/cacerts/cacerts.txt",
        "/opt/google-cloud-sdk/platform/bq/third_party/certifi/cacert.pem",
        "/usr/lib/python3/dist-packages/pipenv/patched/pip/_vendor/certifi/cacert.pem",
        "/opt/venv/lib/python2.7/site-packages/certifi-2020.1-py2.7.egg/certifi/cacert.pem",
    ],
)
def test_a_bundle_is_found(root: Root, path: str) -> None:
    root.file(path)

    found = root.found()

    assert set(found) == {path}
    assert (found[path].family, found[path].role) == (Family.PYTHON, Role.PUBLIC)
    assert found[path].uses[0].reader == ("python-3.13" if "3.13" in path else "python-3.12")


def test_packages_with_init_files_do_not_hide_what_they_vendor(root: Root) -> None:
    site = "/usr/lib/python3.9/site-packages"
    path = root.file(f"{site}/pip/_vendor/certifi/cacert.pem")
    for package in ("pip", "pip/_vendor", "pip/_vendor/certifi"):
        root.file(f"{site}/{package}/__init__.py", b'__version__ = "2022.12.07"\n')
    root.file(f"{site}/pip-23.0.1.dist-info/METADATA")

    assert root.found()[path].owner == "certifi 2022.12.07, vendored by pip 23.0.1"


def test_the_owner_is_the_installed_distribution(root: Root) -> None:
    path = root.file("/opt/v/lib/python3.11/site-packages/certifi/cacert.pem")
    root.file("/opt/v/lib/python3.11/site-packages/certifi-2026.5.20.dist-info/METADATA")
    root.file("/opt/v/bin/python3.11")

    one = root.found()[path]

    assert one.owner == "pip: certifi 2026.5.20"
    assert (one.uses[0].program, one.uses[0].version) == ("/opt/v/bin/python3.11", "3.11")


def test_a_conda_environment(root: Root) -> None:
    path = root.file("/opt/conda/ssl/cacert.pem")
    linked = root.link("/opt/conda/ssl/cert.pem", "cacert.pem")
    root.file("/opt/conda/ssl/openssl.cnf")
    root.file("/opt/conda/conda-meta/history")

    found = root.found()

    assert set(found) == {path, linked}
    assert {(one.family, one.role) for one in found.values()} == {(Family.PYTHON, Role.PUBLIC)}


def test_a_bundles_name_elsewhere_is_left_to_its_content(root: Root) -> None:
    path = root.file("/opt/product/etc/cacert.pem")
    root.file("/opt/product/tests/certs/cacert.pem")

    found = root.found()

    assert set(found) == {path}
    assert (found[path].family, found[path].role) == (Family.CUSTOM, None)


def test_circles_of_links_and_links_out_of_the_root_are_not_walked(root: Root, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "certifi").mkdir(parents=True)
    (outside / "certifi" / "cacert.pem").write_bytes(b"x")
    root.link("/opt/app/lib/python3.11/site-packages", "../../..")
    root.link("/opt/app/loop", "loop")
    root.link("/srv", str(outside))
    root.link("/usr/lib/python3", str(outside))

    assert root.found() == {}


def test_a_name_that_is_not_utf8(root: Root) -> None:
    path = root.file(os.fsdecode(b"/opt/caf\xe9/lib/python3.11/site-packages/certifi/cacert.pem"))

    assert set(root.found()) == {path}
    assert tree.start_survey(root.host).result()["bundles"] == [path]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must not be led out of a home")
def test_root_is_not_led_out_of_a_home(root: Root) -> None:
    secret = root.file("/var/secret/key.pem")
    os.chmod(root.folder / secret.lstrip("/"), 0o600)
    system = root.file("/etc/ssl/certs/ca-certificates.crt")
    root.link("/home/ann/v/lib/python3.11/site-packages/certifi/cacert.pem", secret)
    linked = root.link("/home/ann/w/lib/python3.11/site-packages/certifi/cacert.pem", system)
    inside = root.link("/home/ann/x/lib/python3.11/site-packages/certifi/cacert.pem", "/home/ann/my.pem")
    root.file("/home/ann/my.pem")

    assert set(tree.survey(root.host)["bundles"]) == {linked, inside}


def test_a_callers_home_is_searched_and_nobody_elses_without_root(tmp_path: Path) -> None:
    home = tmp_path / "me"
    (home / "v/lib/python3.11/site-packages/certifi").mkdir(parents=True)
    (home / "v/lib/python3.11/site-packages/certifi/cacert.pem").write_bytes(b"x")

    # A root of its own, for the real one has /tmp among the folders where no home is.
    assert tree.homes(Host(str(tmp_path), {"HOME": "/me"})) == ["/me"]
    assert tree.survey(Host(str(tmp_path), {"HOME": "/me"}))["bundles"] == [
        "/me/v/lib/python3.11/site-packages/certifi/cacert.pem"
    ]
