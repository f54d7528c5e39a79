"""The audit of this whole host beside one `keytool -list` of one Java store. usage: audit.py [RUNS]"""

from __future__ import annotations

import glob
import os
import shutil

from side_by_side import Runner, compare, rounds_asked

LAUNCHER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "trustmend")


def main() -> None:
    """Measure and print."""
    keytool = shutil.which("keytool")
    stores = glob.glob("/etc/ssl/certs/java/cacerts") + glob.glob("/usr/lib/jvm/*/lib/security/cacerts")
    if keytool is None or not stores:
        raise SystemExit("keytool and a Java trust store are needed; run scripts/test as root once")
    ours = Runner("trustmend audit, the host", [LAUNCHER, "audit"], frozenset({0, 3, 4}))
    argv = [keytool, "-list", "-keystore", stores[0], "-storepass", "changeit"]
    compare(ours, Runner("keytool -list, one store", argv), rounds=rounds_asked(15), target=0.6)


main()
