"""Trust stores inside zip files and one-file programs."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from places.planted import PEM, Root
from readers import clients
from trustmend.discover import discover
from trustmend.host import Host
from trustmend.model import Family, Role
from trustmend.places import archives, tree


@pytest.fixture
def root(tmp_path: Path) -> Root:
    root = Root(tmp_path / "root")
    root.passwd("/home/ann")
    return root


def packed(*members: tuple[str, bytes], before: bytes = b"", method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip file, as a zipapp with a launcher before it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr("__main__.py", os.urandom(8192).hex())
        for name, content in members:
            archive.writestr(name, content)
    return before + out.getvalue()


CERTIFI = (".deps/certifi-2026.5.20-py3-none-any.whl/certifi/cacert.pem", PEM)


@pytest.mark.parametrize(
    "path",
    ["/opt/tool.pex", "/srv/app/tool.pyz", "/usr/local/bin/tool", "/home/ann/.local/bin/tool", "/home/ann/tool.pex"],
)
def test_a_zipapp_is_found(root: Root, path: str) -> None:
    root.file(path, packed(CERTIFI, before=b"#!/usr/bin/env python3\n"))

    (one,) = discover(root.host)

    assert (one.path, one.part, one.data) == (path, CERTIFI[0], PEM)
    assert (one.family, one.role, one.owner) == (Family.PYTHON, Role.PUBLIC, "certifi 2026.5.20")
    assert one.uses[0].program == path
    assert one.remedy is not None
    assert "REQUESTS_CA_BUNDLE" in one.remedy


@pytest.mark.parametrize(
    "path", ["/opt/app/app.jar", "/opt/app/lib/client.jar", "/srv/tomcat/webapps/shop.war", "/app.jar"]
)
@pytest.mark.parametrize("member", ["com/vendor/client-truststore.p12", "certs/store.jks", "cacerts"])
def test_a_jars_key_store_is_found(root: Root, path: str, member: str) -> None:
    root.file(path, packed(("META-INF/MANIFEST.MF", b""), (member, b"\xfe\xed\xfe\xed"), ("com/A.class", b"")))

    (one,) = discover(root.host)

    assert (one.path, one.part, one.family, one.role) == (path, member, Family.JAVA, None)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x05\x06" + bytes(18),
        packed(("client.p12", b"a key")),
        packed(("tests/cacert.pem", PEM)),
        packed(("certifi/cacert.pem", bytes(archives.MAX_MEMBER_BYTES + 1))),
        packed(("com/TrustManager.class", b""), ("com/cacertsReader.class", b"")),
        packed(CERTIFI)[:-30],
    ],
    ids=["empty", "no members", "a client's key", "a test's", "too large", "classes", "cut"],
)
def test_what_is_no_archive_with_a_store_is_nothing(root: Root, content: bytes) -> None:
    root.file("/opt/tool.pex", content)

    assert discover(root.host) == []


def test_a_size_that_lies_does_not_make_it_read_more(root: Root) -> None:
    bomb = packed(("certifi/cacert.pem", bytes(64 << 20)))
    sizes = struct.pack("<I", 64 << 20)
    root.file("/opt/tool.pex", bomb.replace(sizes, struct.pack("<I", 1000)))

    assert discover(root.host) == []


def test_distributions_libraries_are_left_out(root: Root) -> None:
    root.file("/usr/share/java/lib.jar", packed(("store.jks", b"")))

    assert discover(root.host) == []


def one_file(*members: tuple[str, bytes]) -> bytes:
    """What PyInstaller appends to its loader (its archive/writers.py)."""
    body, table = b"", b""
    for name, content in members:
        data = zlib.compress(content)
        label = name.encode() + b"\0"
        label += bytes(-(18 + len(label)) % 16)
        table += struct.pack("!IIIIBc", 18 + len(label), len(body), len(data), len(content), 1, b"x") + label
        body += data
    length = len(body) + len(table) + 88
    cookie = struct.pack("!8sIIII64s", b"MEI\014\013\012\013\016", length, len(body), len(table), 311, b"libpython")
    return b"\x7fELF" + bytes(9000) + body + table + cookie


def test_a_program_of_pyinstaller_is_found(root: Root) -> None:
    root.file("/usr/local/bin/tool", one_file(("tool", b"code"), ("certifi/cacert.pem", PEM)))

    (one,) = discover(root.host)

    assert (one.part, one.data, one.family, one.role) == ("certifi/cacert.pem", PEM, Family.PYTHON, Role.PUBLIC)


@given(st.binary(max_size=200), st.integers(0, 400), st.sampled_from([one_file(CERTIFI), packed(CERTIFI)]))
def test_no_bytes_make_it_crash(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "archive.pex"
    path.write_bytes(content[: len(content) - at] + noise + content[len(content) - at + len(noise) :])
    survey = {**tree.survey(Host(str(tmp_path_factory.mktemp("empty")))), "archives": [str(path)]}

    assert len(list(archives.locations(Host(), survey))) <= 10
    with Host().opened(str(path)) as file:
        assert len(list(archives.frozen(file))) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["pex", "shiv", "pyinstaller"])
def test_real_tools_archives(root: Root, tmp_path: Path, tool: str) -> None:
    program = clients.installed(tool)
    (tmp_path / "main.py").write_text("import certifi\nprint(open(certifi.where()).read())\n")
    made = root.folder / "opt" / "tool.pex"
    made.parent.mkdir(parents=True)
    argv = {
        "pex": ["pex", "certifi", "-o", str(made)],
        "shiv": ["shiv", "certifi", "-e", "certifi:where", "-o", str(made)],
        "pyinstaller": ["pyinstaller", "-F", "main.py", "--distpath", str(root.folder / "usr/local/bin")],
    }[tool]
    subprocess.run([program, *argv[1:]], cwd=tmp_path, env={**os.environ, "HOME": str(tmp_path)}, check=True)

    (one,) = discover(root.host)

    assert one.part is not None
    assert one.part.endswith("certifi/cacert.pem")
    assert (one.data or b"").count(b"BEGIN CERTIFICATE") > 100
