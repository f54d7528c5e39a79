"""The command that upgrades a package: for every manager, and fit for a shell."""

from __future__ import annotations

import shlex

import pytest

from trustmend.places.packages import Package, upgrade


@pytest.mark.parametrize(
    ("package", "path", "command"),
    [
        (Package("dpkg", "ca-certificates", "20230311"), "/x", "apt-get install --only-upgrade ca-certificates"),
        (Package("apk", "ca-certificates-bundle", "1-r0"), "/x", "apk upgrade ca-certificates-bundle"),
        (Package("pacman", "ca-certificates-mozilla", "3-1"), "/x", "pacman -Syu ca-certificates-mozilla"),
        (Package("rpm", "ca-certificates", "2024.2.69_v8.0.303-91.4.el9_4"), "/x", "dnf upgrade ca-certificates"),
        (Package("rpm", "ca-certificates", "2025.2.80_v9.0.304-1.1.fc43"), "/x", "dnf upgrade ca-certificates"),
        (Package("rpm", "ca-certificates", "2023.2.64-1.0.amzn2023.0.1"), "/x", "dnf upgrade ca-certificates"),
        (Package("rpm", "ca-certificates", "2023.2.60-1.0.amzn2.0.1"), "/x", "yum update ca-certificates"),
        (Package("rpm", "ca-certificates", "2021.2.50-72.el7_9"), "/x", "yum update ca-certificates"),
        (Package("rpm", "ca-certificates", "3.0.0-9.azl3"), "/x", "tdnf update ca-certificates"),
        (Package("rpm", "ca-certificates-mozilla", "2.74-150200.41.1"), "/x", "zypper update ca-certificates-mozilla"),
        (Package("rpm", "ca-certificates"), "/x", "dnf upgrade ca-certificates"),
        (
            Package("conda", "ca-certificates", "1", "/opt/my conda"),
            "/opt/my conda/ssl/cacert.pem",
            "conda update -p '/opt/my conda' ca-certificates",
        ),
        (
            Package("pip", "certifi", "1"),
            "/opt/venv/lib/python3.11/site-packages/certifi/cacert.pem",
            "/opt/venv/bin/python3.11 -m pip install -U certifi",
        ),
        (
            Package("pip", "pip", "1"),
            "/srv/it's/lib64/python3.9/site-packages/pip/_vendor/certifi/cacert.pem",
            "'/srv/it'\"'\"'s/bin/python3.9' -m pip install -U pip",
        ),
        (
            Package("pip", "certifi", "1"),
            "/usr/lib/python3/dist-packages/certifi/cacert.pem",
            "/usr/bin/python3 -m pip install -U certifi",
        ),
        (
            Package("pip", "certifi", "1"),
            "/home/ann/.local/lib/python3.11/site-packages/certifi/cacert.pem",
            "python3.11 -m pip install --user -U certifi",
        ),
        (
            Package("pip", "certifi", "1"),
            "/home/ann/.local/share/uv/tools/httpie/lib/python3.12/site-packages/certifi/cacert.pem",
            "uv pip install --python /home/ann/.local/share/uv/tools/httpie/bin/python3.12 -U certifi",
        ),
        (
            Package("pip", "certifi", "1"),
            "/srv/lambda/site-packages/certifi/cacert.pem",
            "python3 -m pip install -U --target /srv/lambda/site-packages certifi",
        ),
    ],
)
def test_upgrade(package: Package, path: str, command: str) -> None:
    assert upgrade(package, path) == command


def test_a_path_in_a_command_is_one_word_without_control_characters() -> None:
    command = upgrade(Package("pip", "certifi"), "/srv/a\n;id\x1b/lib/python3.11/site-packages/certifi/cacert.pem")

    assert command.isprintable()
    assert shlex.split(command)[1:] == ["-m", "pip", "install", "-U", "certifi"]
