"""Owners of what pip and conda installed: this environment's own distributions, and planted ones."""

from __future__ import annotations

import importlib.metadata
import json
import os
from pathlib import Path

import pytest

from places.planted import Root
from trustmend.host import Host
from trustmend.places.packages import Package, owners

SITE = "/opt/venv/lib/python3.11/site-packages"


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path / "root")


def owner(root: Root, path: str) -> Package | None:
    """The one path's owner."""
    return owners(root.host, [path]).get(path)


def test_pip_of_every_distribution_of_the_tests_environment() -> None:
    expected = {}
    for distribution in importlib.metadata.distributions():
        base = os.path.realpath(str(distribution.locate_file("")))
        recorded = next(
            (f for f in distribution.files or () if ".dist-info" not in str(f) and ".." not in str(f)), None
        )
        if recorded is not None and base.endswith("site-packages"):
            expected[f"{base}/{recorded}"] = (distribution.metadata["Name"], distribution.version)

    found = owners(Host.of(None), list(expected))

    assert len(expected) > 5
    assert {path: (package.name, package.version) for path, package in found.items()} == expected
    assert {package.manager for package in found.values()} == {"pip"}


def distribution(
    root: Root, name: str, version: str, *files: str, site: str = SITE, installer: bytes = b"pip\n"
) -> None:
    """Plant a distribution as pip records it."""
    folder = f"{site}/{name.replace('-', '_')}-{version}.dist-info"
    body = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: another\n"
    root.file(f"{folder}/METADATA", body.encode())
    root.file(f"{folder}/INSTALLER", installer)
    record = "".join(f"{file},sha256=AAAA,1\r\n" for file in [*files, f"{folder.rpartition('/')[2]}/RECORD"])
    root.file(f"{folder}/RECORD", record.encode())


def test_a_vendored_copy_is_its_vendors(root: Root) -> None:
    distribution(root, "certifi", "2022.1", "certifi/cacert.pem")
    distribution(root, "pip", "23.0.1", "pip/_vendor/certifi/cacert.pem")

    assert owner(root, f"{SITE}/pip/_vendor/certifi/cacert.pem") == Package("pip", "pip", "23.0.1")
    assert owner(root, f"{SITE}/certifi/cacert.pem") == Package("pip", "certifi", "2022.1")


def test_a_distribution_whose_name_is_not_its_packages(root: Root) -> None:
    distribution(root, "attrs", "1")
    distribution(root, "websocket-client", "0.57.0", '"websocket/a, ""b"".pem"', "websocket/cacert.pem")

    assert owner(root, f"{SITE}/websocket/cacert.pem") == Package("pip", "websocket-client", "0.57.0")
    assert owner(root, f'{SITE}/websocket/a, "b".pem') == Package("pip", "websocket-client", "0.57.0")


def test_a_file_that_no_record_names_is_nobodys(root: Root) -> None:
    distribution(root, "certifi", "2022.1", "certifi/core.py")

    assert owner(root, f"{SITE}/certifi/cacert.pem") is None


def test_without_a_record_the_name_has_to_do(root: Root) -> None:
    root.file(
        "/usr/lib/python3/dist-packages/Certifi-2022.9.24.dist-info/METADATA", b"Name: certifi\nVersion: 2022.9.24\n"
    )
    path = "/usr/lib/python3/dist-packages/certifi/cacert.pem"

    assert owner(root, path) == Package("pip", "certifi", "2022.9.24")


@pytest.mark.parametrize(
    "files",
    [
        {"httplib2-0.9-py2.7.egg-info/PKG-INFO": b"Name: httplib2\nVersion: 0.9\n"},
        {"httplib2-0.9-py2.7.egg-info": b"Metadata-Version: 1.1\nName: httplib2\nVersion: 0.9\n"},
        {"httplib2-0.9-py2.7.egg-info/installed-files.txt": b"../httplib2/a.py\n../httplib2/cacerts.txt\nPKG-INFO\n"},
        {
            "other_name-0.9.egg-info/top_level.txt": b"httplib2\n",
            "other_name-0.9.egg-info/PKG-INFO": b"Name: httplib2\nVersion: 0.9\n",
        },
    ],
)
def test_what_setuptools_wrote_before_there_were_records(root: Root, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        root.file(f"{SITE}/{name}", content)
    root.file(f"{SITE}/later-1.0.egg-info/installed-files.txt", b"../later/cacerts.txt\n")

    assert owner(root, f"{SITE}/httplib2/cacerts.txt") == Package("pip", "httplib2", "0.9")


def test_an_egg_is_named_by_its_folder(root: Root) -> None:
    path = root.file(f"{SITE}/certifi-2020.1-py2.7.egg/certifi/cacert.pem")

    assert owner(root, path) == Package("pip", "certifi", "2020.1")


def test_the_innermost_library_folder_counts(root: Root) -> None:
    inner = f"{SITE}/tool/runtime/site-packages"
    distribution(root, "tool", "1.0", "tool/runtime/site-packages/certifi/cacert.pem")
    distribution(root, "certifi", "2024.2.2", "certifi/cacert.pem", site=inner)

    assert owner(root, f"{inner}/certifi/cacert.pem") == Package("pip", "certifi", "2024.2.2")


def test_a_list_of_the_very_file_comes_before_pips(root: Root) -> None:
    path = "/usr/lib/python3/dist-packages/certifi/cacert.pem"
    distribution(root, "certifi", "2022.1", "certifi/cacert.pem", site="/usr/lib/python3/dist-packages")
    root.file("/var/lib/dpkg/info/python3-certifi.list", f"/.\n{path}\n".encode())
    root.file("/var/lib/dpkg/status", b"Package: python3-certifi\nStatus: install ok installed\nVersion: 1.2-3\n")

    assert owner(root, path) == Package("dpkg", "python3-certifi", "1.2-3")


def test_words_from_a_file_never_reach_a_command(root: Root) -> None:
    distribution(root, "evil", "1", "evil/cacert.pem")
    root.file(f"{SITE}/evil-1.dist-info/METADATA", b"Name: x; rm -rf /\x1b[2J\nVersion: $(id)\n")

    assert owner(root, f"{SITE}/evil/cacert.pem") == Package("pip", "evil", "1")


# conda

ENVIRONMENT = "/home/ann/miniconda3/envs/data"


def conda(root: Root, name: str, version: str, *files: str, escaped: bool = True) -> None:
    """Plant what conda, or without `escaped` mamba, writes of an installed package."""
    record = {"build": "h06a4308_0", "files": list(files), "name": name, "version": version, "paths_data": {}}
    content = json.dumps(record, indent=2, ensure_ascii=escaped).encode()
    root.file(f"{ENVIRONMENT}/conda-meta/{name}-{version}-h06a4308_0.json", content)


def test_conda(root: Root) -> None:
    conda(root, "ca-certificates", "2023.01.10", "ssl/cacert.pem", "ssl/cert.pem")
    conda(root, "openjdk", "17.0.3", "lib/jvm/lib/security/cacerts")
    root.file(f"{ENVIRONMENT}/conda-meta/history", b'"ssl/cacert.pem"')
    paths = [
        f"{ENVIRONMENT}/ssl/cacert.pem",
        f"{ENVIRONMENT}/lib/jvm/lib/security/cacerts",
        f"{ENVIRONMENT}/ssl/mine.pem",
    ]

    found = owners(root.host, paths)

    assert found == {
        paths[0]: Package("conda", "ca-certificates", "2023.01.10", ENVIRONMENT),
        paths[1]: Package("conda", "openjdk", "17.0.3", ENVIRONMENT),
    }
    assert found[paths[0]].words == "ca-certificates 2023.01.10 (conda)"


@pytest.mark.parametrize("escaped", [True, False])
def test_conda_with_a_name_beyond_ascii(root: Root, escaped: bool) -> None:
    conda(root, "pkg", "1", "share/Főtanúsítvány.pem", escaped=escaped)

    assert owner(root, f"{ENVIRONMENT}/share/Főtanúsítvány.pem") == Package("conda", "pkg", "1", ENVIRONMENT)


@pytest.mark.parametrize(
    ("installer", "version", "expected"),
    [
        (b"conda", "2023.7.22", "conda"),
        (b"pip\n", "2023.7.22", "conda"),  # built by conda from what pip made
        (b"pip\n", "2024.2.2", "pip"),  # put over it later
        (b"uv", "2024.2.2", "pip"),
    ],
)
def test_conda_or_what_pip_put_over_it(root: Root, installer: bytes, version: str, expected: str) -> None:
    inside = "lib/python3.10/site-packages"
    conda(root, "certifi", "2023.07.22", f"{inside}/certifi/cacert.pem")
    distribution(root, "certifi", version, "certifi/cacert.pem", site=f"{ENVIRONMENT}/{inside}", installer=installer)

    found = owner(root, f"{ENVIRONMENT}/{inside}/certifi/cacert.pem")

    assert found is not None
    assert found.manager == expected
    assert found.version == ("2023.07.22" if expected == "conda" else version)


@pytest.mark.parametrize(
    "content",
    [
        b'"ssl/cacert.pem"',
        b'["ssl/cacert.pem"]',
        b'{"files": ["ssl/cacert.pem"]}',
        b'{"files": ["ssl/cacert.pem"], "name": 1, "version": null}',
        b'{"files": ["ssl/cacert.pem", {}], "name": "a", "version": "1"}',
        b'{"files": ["ssl/cacert.pem"], "name": "\\ud800", "version": "1"}',
        b'{"files": ["ssl/cacert.pem"], "name": "a b", "version": "1"}',
        b'{"note": "ssl/cacert.pem", "files": [], "name": "a", "version": "1"}',
        b'{"files": ["ssl/cacert.pem"], "name": ' + b"[" * 100_000,
    ],
)
def test_a_record_of_conda_that_is_none_owns_nothing(root: Root, content: bytes) -> None:
    root.file(f"{ENVIRONMENT}/conda-meta/a-1-0.json", content)

    assert owner(root, f"{ENVIRONMENT}/ssl/cacert.pem") is None
