"""Roots with configuration files."""

from __future__ import annotations

from pathlib import Path

from trustmend.host import Host


def plant(root: Path, files: dict[str, str | bytes]) -> Host:
    """Write the files below `root` by their paths in it; the host that has them."""
    for path, content in files.items():
        at = root / path.lstrip("/")
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Host(str(root))
