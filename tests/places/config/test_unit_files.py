"""Units and environment files, compared with what systemd itself makes of them."""

from __future__ import annotations

import os
import random
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from places.planted import Root
from trustmend.model import Role
from trustmend.places.config import environment_files
from trustmend.places.config.hit import Hit
from trustmend.places.config.syntax import Item, ini, shell, words

SYSTEMD = "/usr/lib/systemd/systemd"
GENERATOR = "/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator"
FOLDERS = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system")


def found(root: Root, *homes: str) -> list[Hit]:
    return list(environment_files.hits(root.host, {"homes": list(homes)}))


def told(root: Root, *homes: str) -> dict[str, str]:
    """What is found, by product and key, with the file and line."""
    return {f"{one.product}: {one.key}": f"{one.value} {one.file}:{one.line}" for one in found(root, *homes)}


def unit(root: Root, path: str, *lines: str) -> None:
    root.file(path, "\n".join(["[Service]", *lines, ""]).encode("utf-8", "surrogateescape"))


def systemd_says(root: Root, name: str) -> tuple[dict[str, str], list[str]]:
    """The environment and the command lines of a unit, as the service manager loads it."""
    for target in ("basic", "default", "sysinit", "shutdown"):
        root.file(f"/usr/lib/systemd/system/{target}.target", b"[Unit]\nDescription=x\n")
    root_alone = os.geteuid() == 0  # systemd refuses to be tried out by root
    done = subprocess.run(
        [SYSTEMD, "--test", "--system", f"--unit={name}"],
        env={
            "SYSTEMD_UNIT_PATH": ":".join(f"{root.folder}{folder}" for folder in FOLDERS),
            "SYSTEMD_LOG_LEVEL": "err",
            "HOME": "/",
            "XDG_RUNTIME_DIR": "/tmp",  # noqa: S108  nothing is put there
        },
        capture_output=True,
        check=False,
        user="nobody" if root_alone else None,
        group="nogroup" if root_alone else None,
        extra_groups=[] if root_alone else None,
    )
    text = done.stdout.decode("utf-8", "surrogateescape")
    section = text.partition(f"-> Unit {name}:")[2].partition("-> Unit ")[0]
    assert section, done.stderr
    values = [line.lstrip().partition(": ") for line in section.split("\n")]
    environ = [value.partition("=") for key, _, value in values if key == "Environment"]
    return {name: value for name, _, value in environ}, [value for key, _, value in values if key == "Command Line"]


@pytest.mark.needs(SYSTEMD)
def test_precedence_is_systemds(open_path: Path) -> None:
    """Folders, drop-ins of the unit, its prefix, its alias and its type; masks; the reset by an empty value."""
    root = Root(open_path)
    etc, run, usr = FOLDERS
    unit(root, f"{usr}/a-b.service", "ExecStart=/bin/true", "Environment=SSL_CERT_FILE=/usr", "Environment=PIP_CERT=/u")
    unit(root, f"{usr}/a-b.service.d/10.conf", "Environment=CURL_CA_BUNDLE=/usr-unit")
    unit(root, f"{etc}/a-.service.d/10.conf", "Environment=CURL_CA_BUNDLE=/etc-prefix")
    unit(root, f"{run}/a-b.service.d/20.conf", "Environment=AWS_CA_BUNDLE=/run")
    unit(root, f"{usr}/a-b.service.d/20.conf", "Environment=AWS_CA_BUNDLE=/usr")
    unit(root, f"{etc}/service.d/05.conf", "Environment=DENO_CERT=/type GIT_SSL_CAINFO=/type")
    unit(root, f"{usr}/a-.service.d/30.conf", "Environment=GIT_SSL_CAINFO=/prefix")
    root.link(f"{etc}/nick.service", f"{open_path}{usr}/a-b.service")
    root.link(f"{etc}/nick2.service", "a-b.service")
    unit(root, f"{etc}/nick2.service.d/40.conf", "Environment=VAULT_CACERT=/alias")
    root.link(f"{etc}/a-b.service.d/50.conf", "/dev/null")
    unit(root, f"{usr}/a-b.service.d/50.conf", "Environment=VAULT_CAPATH=/masked")
    unit(root, f"{etc}/a-b.service.d/60.conf", "Environment=", "Environment=SSL_CERT_FILE=/last")
    unit(root, f"{etc}/a-b.service.d/55.conf", "Environment=PIP_CERT=/gone")
    unit(root, f"{etc}/a-b.service.d/70.conf", 'Environment="CONSUL_CACERT=/two words" CONSUL_CAPATH=/%p/%n/%S')

    # A link with an absolute target leads elsewhere in the planted root, so only the relative alias counts there.
    (open_path / f"{etc}/nick.service".lstrip("/")).unlink()
    environ, _ = systemd_says(root, "a-b.service")

    assert environ == {one.key: one.value for one in found(root)}
    assert environ["SSL_CERT_FILE"] == "/last"
    assert "PIP_CERT" not in environ


@pytest.mark.needs(SYSTEMD)
def test_instances_are_systemds(open_path: Path) -> None:
    root = Root(open_path)
    etc, _, usr = FOLDERS
    unit(root, f"{usr}/a-t@.service", "ExecStart=/bin/true", "Environment=SSL_CERT_FILE=/%i.pem PIP_CERT=/%p/%I.pem")
    unit(root, f"{etc}/a-t@.service.d/10.conf", "Environment=CURL_CA_BUNDLE=/template")
    unit(root, f"{usr}/a-t@x\\x2dy-z.service.d/10.conf", "Environment=CURL_CA_BUNDLE=/instance")
    unit(root, f"{etc}/a-t@x\\x2dy-z.service.d/40.conf", "Environment=DENO_CERT=/instance")
    unit(root, f"{etc}/a-t@.service.d/40.conf", "Environment=DENO_CERT=/template")

    environ, _ = systemd_says(root, "a-t@x\\x2dy-z.service")

    assert environ == {one.key: one.value for one in found(root)}
    assert environ["PIP_CERT"] == "/a-t/x-y/z.pem"


@pytest.mark.needs(SYSTEMD)
def test_quoting_is_systemds(open_path: Path) -> None:
    """Random lines of quotes, blanks and escapes, and a command line of them, split as systemd splits them."""
    root = Root(open_path)
    rng = random.Random(7)  # noqa: S311
    pieces = [
        "a",
        "b",
        " ",
        "  ",
        '"',
        "'",
        "\\",
        "\\\\",
        "\\x41",
        "\\s",
        "\\t",
        "\\101",
        "\\'",
        "=",
        "#",
        ";",
        "é",
        "\t",
    ]
    lines = []
    for number in range(300):
        tail = "".join(rng.choices(pieces, k=rng.randrange(1, 12)))
        lines.append(f"Environment=V{number}={tail}".rstrip("\\") + "x")
    unit(root, "/usr/lib/systemd/system/q.service", "ExecStart=/bin/true", *lines)

    environ, _ = systemd_says(root, "q.service")

    text = "\n".join(["[Service]", *lines, ""])
    ours = [word for item in ini.items(text, ini.SYSTEMD) for word in words.systemd_words(item.value)]
    pairs = [word.partition("=") for word in ours]
    assert environ == {
        name: value for name, equals, value in pairs if equals and name.isidentifier() and name.isascii()
    }
    assert len(environ) > 100


@pytest.mark.needs(GENERATOR)
def test_environment_d_is_the_generators(open_path: Path) -> None:
    """Random files of it, which are written as those of EnvironmentFile= are."""
    rng = random.Random(11)  # noqa: S311
    pieces = [
        "a",
        "b",
        " ",
        '"',
        "'",
        "\\",
        "$HOME",
        "${V1}",
        "${V1:-x}",
        "${V1:+y}",
        "\\$",
        "#",
        ";",
        "=",
        "\\\n",
        "/",
    ]
    text = "V1=one\n; comment\n  # another\n"
    for number in range(2, 300):
        balanced = "".join(rng.choices(pieces, k=rng.randrange(1, 12)))
        text += f"V{number}={balanced}\n" + ("'\n" if balanced.count("'") % 2 else "") + ('\n"\n' * (number % 7 == 0))
    folder = open_path / ".config/environment.d"
    folder.mkdir(parents=True)
    (folder / "10.conf").write_text(text)
    done = subprocess.run([GENERATOR], env={"HOME": str(open_path)}, capture_output=True, text=True, check=True)
    theirs = {line.partition("=")[0] for line in done.stdout.split("\n") if line.startswith("V")}

    known: dict[str, str] = {"HOME": str(open_path)}
    for item in shell.systemd_assignments(text):
        known[item.key] = words.expanded(item.value, lambda name: known.get(name, ""))
    ours = {name: value for name, value in known.items() if name.startswith("V")}

    script = done.stdout + "\nprintf '%s\\0' " + " ".join(f'"${name}"' for name in ours)
    shown = subprocess.run(["/bin/bash", "-c", script], env={}, capture_output=True, text=True, check=True).stdout
    # The generator writes a newline as "\\n", which the shell does not read back.
    assert shown == "".join(value.replace("\n", "\\n") + "\0" for value in ours.values())
    assert theirs >= {name for name, value in ours.items() if value}
    assert len(ours) > 30


def test_environment_files_over_settings_and_the_line_that_won(tmp_path: Path) -> None:
    root = Root(tmp_path)
    unit(
        root,
        "/usr/lib/systemd/system/web.service",
        "Environment=SSL_CERT_FILE=/setting",
        "EnvironmentFile=-/etc/default/missing",
        "EnvironmentFile=/etc/default/w*.env",
        "UnsetEnvironment=PIP_CERT",
        "PassEnvironment=DENO_CERT",
    )
    root.file("/etc/default/w1.env", b"# a\r\nSSL_CERT_FILE=/one\r\nPIP_CERT=/x\r\n")
    root.file("/etc/default/w2.env", b"\n;b\n\nSSL_CERT_FILE='/two words' \\\n\n")
    root.file("/etc/default/other", b"export AWS_CA_BUNDLE=/aws\nGIT_SSL_CAINFO=/not-exported\n")

    assert told(root) == {
        "unit web.service: SSL_CERT_FILE": "/two words /etc/default/w2.env:4",
        "service settings: AWS_CA_BUNDLE": "/aws /etc/default/other:1",
    }


def test_masked_broken_and_empty_units_name_nothing(tmp_path: Path) -> None:
    root = Root(tmp_path)
    for name in ("masked", "empty", "circle", "folder"):
        unit(root, f"/usr/lib/systemd/system/{name}.service", "Environment=SSL_CERT_FILE=/x")
    root.link("/etc/systemd/system/masked.service", "/dev/null")
    root.file("/etc/systemd/system/empty.service", b"")
    root.link("/etc/systemd/system/circle.service", "circle.service")
    (tmp_path / "etc/systemd/system/folder.service").mkdir()
    unit(root, "/etc/systemd/system/only.service.d/x.conf", "Environment=SSL_CERT_FILE=/x")

    names = {one.product for one in found(root)}

    assert names <= {"unit circle.service"}  # a broken link is skipped over


def test_a_jvms_options_by_where_they_stand(tmp_path: Path) -> None:
    root = Root(tmp_path)
    unit(
        root,
        "/etc/systemd/system/app.service",
        "EnvironmentFile=/etc/default/app",
        "ExecStart=/usr/bin/java $JAVA_ARGS -Djavax.net.ssl.trustStorePassword=${PASS} \\",
        "  -jar ${HOME_OF_APP}/app.jar",
    )
    options = b'\nJAVA_ARGS="-Xmx1g -Djavax.net.ssl.trustStore=/etc/app/trust.jks"\nPASS=s3cret\n'
    root.file("/etc/default/app", options)
    unit(root, "/etc/systemd/system/cat.service", 'Environment="CATALINA_OPTS=-Djavax.net.ssl.trustStore=/cat.jks"')
    unit(
        root,
        "/etc/systemd/system/two.service",
        "Environment=_JAVA_OPTIONS=-Djavax.net.ssl.trustStore=/wins.jks",
        "ExecStart=/usr/bin/java -Djavax.net.ssl.trustStore=/loses.jks Main",
    )

    assert told(root) == {
        "unit app.service: JAVA_ARGS: -Djavax.net.ssl.trustStore": "/etc/app/trust.jks /etc/default/app:2",
        "unit cat.service: CATALINA_OPTS: -Djavax.net.ssl.trustStore": "/cat.jks /etc/systemd/system/cat.service:2",
        "unit two.service: _JAVA_OPTIONS: -Djavax.net.ssl.trustStore": "/wins.jks /etc/systemd/system/two.service:2",
    }
    app = next(one for one in found(root) if one.product == "unit app.service")
    assert app.secret == "s3cret"
    assert "s3cret" not in repr(app)


def test_options_of_command_lines(tmp_path: Path) -> None:
    root = Root(tmp_path)
    unit(
        root,
        "/etc/systemd/system/a.service",
        "Environment=CA=/etc/ca.pem",
        "ExecStartPre=-/usr/bin/curl --cacert ${CA} https://example.org",
        "ExecStart=/usr/bin/etcd --trusted-ca-file=/etc/etcd/ca.pem --cacert relative.pem --ca-file",
    )

    hits = {one.key: (one.value, one.role, one.line) for one in found(root)}

    assert hits == {
        "ExecStartPre: --cacert": ("/etc/ca.pem", None, 3),
        "ExecStart: --trusted-ca-file": ("/etc/etcd/ca.pem", Role.CLIENT_AUTH, 4),
    }


def test_unknown_specifiers_and_templates_name_nothing(tmp_path: Path) -> None:
    root = Root(tmp_path)
    unit(
        root, "/etc/systemd/system/t@.service", "Environment=SSL_CERT_FILE=/x/%i.pem PIP_CERT=/fixed AWS_CA_BUNDLE=/%H"
    )

    assert told(root) == {"unit t@.service: PIP_CERT": "/fixed /etc/systemd/system/t@.service:2"}


def test_users_units_and_environment(tmp_path: Path) -> None:
    root = Root(tmp_path)
    root.passwd("/home/ann", "/home/ben")
    unit(root, "/usr/lib/systemd/user/all.service", "Environment=SSL_CERT_FILE=/all")
    unit(root, "/home/ann/.config/systemd/user/own.service", "Environment=SSL_CERT_FILE=%h/ca.pem")
    unit(root, "/home/ann/.config/systemd/user/all.service.d/x.conf", "Environment=PIP_CERT=/ann")
    root.file("/etc/environment.d/10-a.conf", b"CA=/etc/ca\nAWS_CA_BUNDLE=${CA}/aws.pem\n")
    root.file("/home/ben/.config/environment.d/20.conf", b"SSL_CERT_DIR=$HOME/certs:${CA}\nDENO_CERT=${NOBODY}/x\n")
    root.file("/etc/systemd/system.conf.d/ca.conf", b"[Manager]\nDefaultEnvironment=CURL_CA_BUNDLE=/curl\n")

    assert [(one.product, one.key, one.value) for one in found(root, "/home/ann", "/home/ben")] == [
        ("systemd, DefaultEnvironment", "CURL_CA_BUNDLE", "/curl"),
        ("user unit all.service", "SSL_CERT_FILE", "/all"),
        ("user unit all.service", "SSL_CERT_FILE", "/all"),
        ("user unit all.service", "PIP_CERT", "/ann"),
        ("user unit own.service", "SSL_CERT_FILE", "/home/ann/ca.pem"),
        ("environment.d", "AWS_CA_BUNDLE", "/etc/ca/aws.pem"),
        ("environment.d", "SSL_CERT_DIR", "/home/ben/certs"),
        ("environment.d", "SSL_CERT_DIR", "/etc/ca"),
    ]


def quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


PLAIN = st.text(st.characters(exclude_characters="\0\r\x01", exclude_categories=["Cs"]))


@given(st.lists(PLAIN))
def test_systemds_quotes_go_round(values: list[str]) -> None:
    assert list(words.systemd_words(" ".join(map(quoted, values)))) == values


@given(PLAIN)
def test_the_shells_quotes_go_round(value: str) -> None:
    (item,) = shell.shell_assignments(f"# x\nexport A={shlex.quote(value)} # y\n", {})
    assert item == Item(2, "A", value, (shell.EXPORTED,))


@given(st.text())
def test_no_text_is_too_strange(text: str) -> None:
    list(words.systemd_words(text))
    list(shell.shell_assignments(text, {"HOME": "/h"}))
    for read in (shell.systemd_assignments, shell.pam_assignments, shell.cron_assignments):
        list(read(text))


@given(st.text(alphabet="aA_=$'\"\\`{}()<>;&|#~ \n\t:-.", max_size=60))
def test_no_script_is_too_strange(text: str) -> None:
    list(shell.shell_assignments(text, {"HOME": "/h"}))
    list(shell.systemd_assignments(text))
    list(ini.items(text, ini.SYSTEMD))
