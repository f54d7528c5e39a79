"""The shipped CA certificates and the real leaves that they issued, for tests."""

from __future__ import annotations

import base64
import re
from pathlib import Path

from trustmend.certificate import Certificate

ROOT = Path(__file__).parent.parent
LEAVES = ROOT / "tests" / "data" / "leaves"


def pem(name: str) -> bytes:
    """The file of a shipped CA certificate, by its name without `.pem`."""
    return next((ROOT / "bundles").glob(f"*/{name}.pem")).read_bytes()


def certificate(name: str) -> Certificate:
    """A shipped CA certificate, parsed."""
    return of_pem(pem(name))


def of_pem(text: bytes) -> Certificate:
    """The first certificate of a PEM text."""
    found = re.search(rb"-----BEGIN CERTIFICATE-----(.*?)-----END", text, re.S)
    assert found
    return Certificate.of(base64.b64decode(found[1]))
