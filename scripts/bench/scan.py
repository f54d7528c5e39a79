"""`--scan` of a tree beside ripgrep's search of it for PEM certificates. usage: scan.py [RUNS [FOLDER]]"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter

from side_by_side import Runner, compare, rounds_asked

LAUNCHER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "trustmend")
OUTSIDE = ("/proc", "/sys", "/dev", "/run")


def main() -> None:
    """Measure and print, then say how many files each of them found."""
    rg = shutil.which("rg")
    if rg is None:
        raise SystemExit("ripgrep is needed; run scripts/test as root once")
    folder = sys.argv[2] if len(sys.argv) > 2 else "/"
    # Hidden files count, ignore files do not: a trust store is where it is. Both stay off pseudo file systems.
    search = [rg, "-l", "-uu", "--no-messages", "--one-file-system", "BEGIN CERTIFICATE", folder]
    scan = [LAUNCHER, "-q", "stores", "--all", "--scan", folder]
    ours = Runner("trustmend stores --scan", scan, frozenset({0, 4}))
    compare(ours, Runner("rg -l 'BEGIN CERTIFICATE'", search, frozenset({0, 1, 2})), rounds=rounds_asked(7), target=0.5)
    by_rg = len(subprocess.run(search, capture_output=True, check=False).stdout.splitlines())
    stores = json.loads(subprocess.run([*scan, "--json"], capture_output=True, check=False).stdout)["stores"]
    kinds = Counter(store["kind"] for store in stores)
    print(f"rg: {by_rg} files, of which many are code and text that quote a certificate")
    print(f"trustmend: {len(stores)} stores: " + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()))


main()
