"""What to do next about a store, in one line: pure, from its verdict, its place and its findings."""

from __future__ import annotations

from trustmend.audit import Judged
from trustmend.model import Family, Finding, Kind, Severity, Store, Verdict

_KEY_STORES = frozenset({Kind.JKS, Kind.JCEKS, Kind.PKCS12, Kind.BCFKS})


def next_step(judged: Judged) -> str:
    """The remedy for the store's verdict; empty for a store that is trusted."""
    store = judged.store
    if judged.verdict is Verdict.TRUSTED:
        return ""
    if judged.verdict is Verdict.UNREADABLE:
        return _for_unreadable(store.content.error or "")
    if judged.verdict is Verdict.DISTRUSTED:
        return "somebody barred it on purpose: ask who, and lift the bar before anything is added"
    if store.remedy is not None:
        return store.remedy
    codes = {finding.code for finding in judged.findings if finding.severity is Severity.ERROR}
    if not store.content.entries:
        return "restore it from its package or backup: whoever reads it as it is trusts nobody"
    if "order-dependent" in codes:
        return "move the root before the certificate of the same name"
    if "refused-by-reader" in codes:
        return _for_refused(judged.findings, store.content.kind)
    return _for_missing(judged)


def _for_unreadable(error: str) -> str:
    if "permission" in error:
        return "run the audit as root, or as the owner of the file"
    if "password" in error:
        return "give its password: --password-file FILE or TRUSTMEND_STOREPASS"
    if "no such file" in error:
        return "correct the path, or remove the setting that names it"
    return "look at what stands there; nothing was changed"


def _for_refused(findings: tuple[Finding, ...], kind: Kind) -> str:
    if kind is Kind.DER:
        return "convert it: openssl x509 -inform DER -in FILE -out FILE.pem"
    if kind in _KEY_STORES:
        return "give its password with --password-file; if that is right, restore the file from its package or backup"
    where = next((f.message for f in findings if f.code == "bad-entry"), "")
    return "repair or reinstall the file" + (f": {where}" if where else "")


def _for_missing(judged: Judged) -> str:
    store = judged.store
    roots = [c.certificate.label for c in judged.missing if c.role == "root"]
    what = " and ".join(roots[:2]) or "the root"
    if store.shadowed_by:
        return "nothing reads it"
    match store.family:
        case Family.OS if not _by_setting(store):
            to = f"add {what} to {store.source}" if store.source else f"add {what}"
            return f"update the ca-certificates package, or {to}: trustmend patch"
        case Family.PYTHON if not _by_setting(store):
            return f"upgrade the package that brings it, or add {what}: trustmend patch"
        case Family.JAVA if not _by_setting(store):
            to = f" to {store.source}, from which it is made" if store.source else ""
            return f"update the JDK or its cacerts package, or add {what}{to}: trustmend patch"
        case _:
            patchable = store.content.kind not in (Kind.BCFKS, Kind.DER)
            command = ": trustmend patch" if store.counted else ": trustmend patch, with its path"
            return f"add {what}" + (command if patchable else "")


def _by_setting(store: Store) -> bool:
    """Whether it is somebody's own file, of which only settings speak, and no package brings it."""
    return bool(store.uses) and all(use.setting is not None for use in store.uses) and store.source is None
