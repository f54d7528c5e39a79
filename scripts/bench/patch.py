"""A patch of one store of each kind beside keytool and mkcert, as root with both. usage: patch.py [RUNS]

It runs in a mount namespace of its own, in which /etc, /usr/local and /var/lib are copies that vanish with it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile

from side_by_side import Runner, compare, rounds_asked

HERE = os.path.dirname(os.path.abspath(__file__))
CHECKOUT = os.path.dirname(os.path.dirname(HERE))
SYSTEM = "/etc/ssl/certs/java/cacerts"
LAUNCHER = os.path.join(CHECKOUT, "scripts", "trustmend")
COPIES = """
set -eu
for top in /etc /usr/local /var/lib; do
  new=$1$top
  mkdir -p $new/upper $new/work
  mount -t overlay -o lowerdir=$top,upperdir=$new/upper,workdir=$new/work overlay $top
done
shift
exec "$@"
"""


def main() -> None:
    """Measure and print."""
    keytool, mkcert = shutil.which("keytool"), shutil.which("mkcert")
    if keytool is None or mkcert is None or os.geteuid() != 0:
        raise SystemExit("root, keytool and mkcert are needed: apt-get install mkcert default-jdk-headless")
    if "TRUSTMEND_BENCH" not in os.environ:
        with tempfile.TemporaryDirectory(dir="/dev/shm") as copies:
            again = ["sh", "-c", COPIES, "sh", copies, sys.executable, *sys.argv]
            environ = {**os.environ, "TRUSTMEND_BENCH": copies}
            code = subprocess.call(["unshare", "--mount", "--propagation", "private", *again], env=environ)
        raise SystemExit(code)
    with tempfile.TemporaryDirectory() as folder:
        _measure(folder, keytool, mkcert, rounds_asked(9))


def _measure(folder: str, keytool: str, mkcert: str, rounds: int) -> None:
    ours = [LAUNCHER, "--state-dir", f"{folder}/state", "-q", "patch", "--yes", "--complete", "--bundle", "all"]
    one = f"{CHECKOUT}/bundles/sectigo-2019/root-aaa.pem"
    password = ["-storepass", "changeit"]
    for kind in ("JKS", "PKCS12"):
        store, old = f"{folder}/{kind}", f"{folder}/{kind}.old"
        _run(keytool, "-importkeystore", "-noprompt", "-srckeystore", SYSTEM, "-srcstorepass", "changeit",
             "-destkeystore", old, "-deststoretype", kind, "-deststorepass", "changeit")  # fmt: skip
        fresh = ("cp", old, store)
        imported = [keytool, "-importcert", "-noprompt", "-file", one, "-keystore", store, *password]
        us = Runner(f"trustmend patch, {kind}, 10 new", [*ours, store], before=fresh)
        compare(
            us, Runner("keytool -importcert, ONE", [*imported, "-alias", "x"], before=fresh), rounds=rounds, target=1.5
        )
        argv = ["sh", "-c", 'for n in 1 2 3 4 5 6 7 8 9 10; do "$@" -alias $n; done', "sh", *imported]
        us = Runner(f"trustmend patch, {kind}, 10 new", [*ours, store], before=fresh)
        compare(us, Runner("10 times keytool", argv, before=fresh), rounds=2, target=0.3)
    bundle = f"{folder}/ca.pem"
    fresh = ("sh", "-c", f"cat {CHECKOUT}/bundles/sectigo-2019/root-aaa.pem >{bundle}")
    us = Runner("trustmend patch, PEM, 14 new", [*ours, bundle], before=fresh)
    peer = Runner("keytool -importcert, ONE", [*imported, "-alias", "x"], before=("cp", old, store))
    compare(us, peer, rounds=rounds, target=1.0)
    _measure_mkcert(folder, ours, mkcert, rounds)


def _measure_mkcert(folder: str, ours: list[str], mkcert: str, rounds: int) -> None:
    """Its own root, put into a Java store and into the system's, beside ours."""
    os.environ["CAROOT"] = f"{folder}/mkcert"
    os.environ["TRUST_STORES"] = "system"
    _run(mkcert, "-CAROOT")
    _run(mkcert, "-install")  # it makes its root
    bundle = "/etc/xdg/trustmend/bundles"
    _run(LAUNCHER, "bundle", "new", "bench", f"{folder}/mkcert/rootCA.pem", "--into", bundle)
    _run(mkcert, "-uninstall")
    patch = [*ours[:-1], "bench", "--kind", "os,java"]
    script = f"{LAUNCHER} --state-dir {folder}/state -q rollback --yes; {mkcert} -uninstall; true"
    before = ("sh", "-c", script)
    us = Runner("trustmend patch, the system", patch, before=before)
    them = Runner("mkcert -install, the system", [mkcert, "-install"], before=before)
    compare(us, them, rounds=min(rounds, 5), target=2.0)


def _run(*argv: str) -> None:
    code = subprocess.call(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if code != 0:
        raise SystemExit(f"`{' '.join(argv)}` ended with {code}: nothing is measured")


main()
