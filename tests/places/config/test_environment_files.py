"""Shells' start files, /etc/environment, crontabs, init scripts' settings and supervisor."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from places.planted import Root
from trustmend.discover import discover
from trustmend.model import Family
from trustmend.places.config import environment_files
from trustmend.places.config.syntax import shell, words

JKS = "-Djavax.net.ssl.trustStore=/etc/trust.jks"


def told(root: Root, *homes: str) -> dict[str, str]:
    found = environment_files.hits(root.host, {"homes": list(homes)})
    return {f"{one.product}: {one.key}": f"{one.value} {one.file}:{one.line}" for one in found}


@pytest.mark.needs("bash")
def test_bash_agrees(tmp_path: Path) -> None:
    """Random assignments: where a value is known to us, the shell gives the same one."""
    rng = random.Random(3)  # noqa: S311
    pieces = [
        "a",
        "b",
        " ",
        '"',
        "'",
        "\\",
        "$HOME",
        "${A}",
        "${NO:-x}",
        "${A:+y}",
        "\\$",
        "~/",
        "`",
        "#",
        "=",
        "/",
        "$(",
    ]
    compared = 0
    for _ in range(250):
        value = "".join(rng.choices(pieces, k=rng.randrange(1, 8)))
        text = f"A=one\nexport V={value}\n"
        done = subprocess.run(
            ["/bin/bash", "--norc", "--noprofile", "-c", text + 'printf %s "$V"'],
            env={"HOME": "/home/ann", "PATH": "/nowhere"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.stderr or "\n" in done.stdout:
            continue
        (ours,) = (item.value for item in shell.shell_assignments(text, {"HOME": "/home/ann"}) if item.key == "V")
        if words.UNKNOWN not in ours:
            assert ours == done.stdout, text
            compared += 1
    assert compared > 80


@pytest.mark.privileged
@pytest.mark.needs("su", "/etc/pam.d/su")
def test_pam_env_agrees(tmp_path: Path) -> None:
    """Random lines, read by a session's real pam_env in a mount namespace of its own."""
    rng = random.Random(5)  # noqa: S311
    pieces = ["a", "b", " ", '"', "'", "\\", "$HOME", "#", "=", "/", "\t"]
    lines = (f"V{n}=" + "".join(rng.choices(pieces, k=rng.randrange(1, 8))) for n in range(200))
    text = "".join(rng.choice(["", "export ", " "]) + line + "\n" for line in lines)
    (tmp_path / "environment").write_text(text)
    script = f"mount --bind {tmp_path}/environment /etc/environment && exec su -l nobody -s /bin/sh -c env"
    done = subprocess.run(
        ["unshare", "--mount", "/bin/sh", "-c", script], capture_output=True, text=True, check=True, timeout=30
    )

    theirs = [line.partition("=") for line in done.stdout.split("\n") if line.startswith("V")]

    assert {name: value for name, _, value in theirs} == {one.key: one.value for one in shell.pam_assignments(text)}
    assert len(theirs) > 100


SCRIPT = b"""# SSL_CERT_FILE=/comment
if [ -z "$PS1" ]; then echo "SSL_CERT_FILE=/no"; fi
CORP=/opt/corp   # where it is
SSL_CERT_FILE="$CORP/ca.pem"; export SSL_CERT_FILE
export CURL_CA_BUNDLE=${CURL_CA_BUNDLE:-$CORP/curl.pem} PIP_CERT=$(find-pip-cert)
[ -f /x ] && export NODE_EXTRA_CA_CERTS=~/node.pem
AWS_CA_BUNDLE=/for-one-command aws s3 ls
GIT_SSL_CAINFO=/not-exported
cat <<EOF
export DENO_CERT=/heredoc
EOF
declare -x VAULT_CACERT='/va ult.pem'
export MAVEN_OPTS="$MAVEN_OPTS -Djavax.net.ssl.trustStore=$CORP/trust.jks \\
  -Djavax.net.ssl.trustStorePassword=$PASS"
export SBT_OPTS="-Djavax.net.ssl.trustStore=$UNKNOWN/trust.jks"
"""


@pytest.mark.parametrize("crlf", [False, True])
def test_what_a_script_exports(tmp_path: Path, *, crlf: bool) -> None:
    root = Root(tmp_path)
    root.file("/home/ann/.bashrc", SCRIPT.replace(b"\n", b"\r\n") if crlf else SCRIPT)

    file = "/home/ann/.bashrc"
    assert told(root, "/home/ann") == {
        "shell: SSL_CERT_FILE": f"/opt/corp/ca.pem {file}:4",
        "shell: CURL_CA_BUNDLE": f"/opt/corp/curl.pem {file}:5",
        "shell: NODE_EXTRA_CA_CERTS": f"/home/ann/node.pem {file}:6",
        "shell: VAULT_CACERT": f"/va ult.pem {file}:12",
        "shell: MAVEN_OPTS: -Djavax.net.ssl.trustStore": f"/opt/corp/trust.jks {file}:13",
    }


def test_the_system_profile_is_one_script(tmp_path: Path) -> None:
    root = Root(tmp_path)
    root.file("/etc/profile", b"export SSL_CERT_FILE=/first PIP_CERT=/kept\n")
    root.file("/etc/profile.d/a.sh", b"CORP=/corp\nexport SSL_CERT_FILE=/second\n")
    root.file("/etc/profile.d/b.sh", b"export SSL_CERT_FILE=$CORP/third\n")
    root.file("/etc/profile.d/c.sh~", b"export SSL_CERT_FILE=/leftover\n")

    assert told(root) == {
        "shell: SSL_CERT_FILE": "/corp/third /etc/profile.d/b.sh:1",
        "shell: PIP_CERT": "/kept /etc/profile:1",
    }


def test_pams_file_crontabs_and_settings(tmp_path: Path) -> None:
    root = Root(tmp_path)
    root.file(
        "/etc/environment", b'PATH="/bin"\nexport SSL_CERT_FILE="/pam.pem"# x\nPIP_CERT = /no\nAWS_CA_BUNDLE=$HOME/x\n'
    )
    root.file("/etc/cron.d/job", b"# PIP_CERT=/no\nPIP_CERT = '/my cron.pem'\n* * * * * root env DENO_CERT=/no x\n")
    root.file("/var/spool/cron/crontabs/ann", b"CURL_CA_BUNDLE=/old\nCURL_CA_BUNDLE=/ann.pem\n")
    root.file("/etc/default/tomcat9", f'#JAVA_OPTS=""\nJAVA_OPTS="-Xmx1g {JKS}"\n'.encode())
    root.file("/etc/default/tomcat9.dpkg-old", f'JAVA_OPTS="{JKS}"\n'.encode())

    assert told(root) == {
        "pam_env: SSL_CERT_FILE": "/pam.pem /etc/environment:2",
        "cron: PIP_CERT": "/my cron.pem /etc/cron.d/job:2",
        "cron: CURL_CA_BUNDLE": "/ann.pem /var/spool/cron/crontabs/ann:2",
        "service settings: JAVA_OPTS: -Djavax.net.ssl.trustStore": "/etc/trust.jks /etc/default/tomcat9:2",
    }


def test_supervisors_programs(tmp_path: Path) -> None:
    root = Root(tmp_path)
    program = (
        f'[program:app]\ncommand=/usr/bin/java {JKS} -jar x\nenvironment=A="b,c",SSL_CERT_FILE=\'/x y.pem\',\n B="1"\n'
    )
    root.file("/etc/supervisor/conf.d/app.conf", program.encode())
    root.file("/etc/supervisor/supervisord.conf", b"[supervisord]\nenvironment = PIP_CERT=/all.pem\n")

    assert told(root) == {
        "supervisor program:app: SSL_CERT_FILE": "/x y.pem /etc/supervisor/conf.d/app.conf:3",
        f"supervisor program:app: command: {JKS.partition('=')[0]}": "/etc/trust.jks /etc/supervisor/conf.d/app.conf:2",
        "supervisord: PIP_CERT": "/all.pem /etc/supervisor/supervisord.conf:2",
    }


def test_the_location_says_where_it_is_written(tmp_path: Path) -> None:
    """And a JVM's option that names no file is one without a reader, as everywhere."""
    root = Root(tmp_path)
    root.file("/etc/environment", f"SSL_CERT_FILE=/ca.pem\nJAVA_TOOL_OPTIONS={JKS}\n".encode())

    found = {one.path: one for one in discover(root.host)}

    one = found["/ca.pem"]
    assert {use.how for use in one.uses} == {"pam_env: SSL_CERT_FILE in /etc/environment:1"}
    assert one.uses[0].setting is not None
    assert (one.uses[0].setting.file, one.uses[0].setting.line) == ("/etc/environment", 1)
    assert (found["/etc/trust.jks"].family, found["/etc/trust.jks"].uses) == (Family.JAVA, ())
    assert [finding.code for finding in found["/etc/trust.jks"].findings] == ["property-ignored"]

    root.file("/etc/trust.jks")
    (use,) = next(one for one in discover(root.host) if one.path == "/etc/trust.jks").uses
    assert use.how == "pam_env: JAVA_TOOL_OPTIONS: -Djavax.net.ssl.trustStore in /etc/environment:2"
