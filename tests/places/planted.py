"""Roots planted under a temporary folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from trustmend.discover import discover
from trustmend.host import Host
from trustmend.model import Location

PEM = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


class Root:
    """A root folder in which files and links are planted by their path in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.host = Host(str(folder))

    def file(self, path: str, content: bytes = PEM) -> str:
        """Plant a file with its folders."""
        target = self.folder / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        return path

    def link(self, path: str, target: str) -> str:
        """Plant a link with its folders."""
        link = self.folder / path.lstrip("/")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
        return path

    def passwd(self, *homes: str) -> None:
        """Give each home a user, and make it."""
        lines = [f"u{n}:x:{1000 + n}:{1000 + n}::{home}:/bin/sh\n" for n, home in enumerate(homes)]
        self.file("/etc/passwd", "".join(lines).encode())
        for home in homes:
            os.makedirs(self.folder / home.lstrip("/"), exist_ok=True)

    def found(self) -> Mapping[str, Location]:
        """What discovery finds here; no path may come from two places at once."""
        locations = discover(self.host)
        by_path = {location.path: location for location in locations}
        assert len(by_path) == len(locations)
        return by_path
