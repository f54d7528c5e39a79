"""What an operator should know of a plan as a whole, in words. Pure."""

from __future__ import annotations

from trustmend.bundle_manifest import BundleRole
from trustmend.model import Family
from trustmend.plan import Method, Plan, Step


def remarks(plan: Plan) -> list[str]:
    """What holds for the whole plan: what intermediates mean, and how Python's bundles are mended for good."""
    own = [step for step in plan.steps if step.system is None]
    found = []
    anchoring = [step for step in own if step.method is not Method.NSS]
    if any(c.role is BundleRole.INTERMEDIATE for step in anchoring for c in step.add):
        found.append(
            "JVMs, curl, GnuTLS, Go and Python 3.13 take an intermediate for an anchor, which outlives its root; "
            "--roots-only leaves them out and is enough wherever servers send their intermediates, as they must"
        )
    if any(step.stores[0].store.family is Family.PYTHON for step in own):
        found.append(
            "an upgrade of a Python package brings its old bundle back; what lasts: a certifi that has the root, the "
            "package truststore (the system's own store), or REQUESTS_CA_BUNDLE with a whole bundle, such as the "
            "system's, and never with these certificates alone"
        )
    return found


def ownership(step: Step) -> str | None:
    """Whose file is changed, and what that means; None where nobody is known."""
    if step.system is not None:
        return None
    if step.facts.package:
        return f"belongs to {step.facts.package}: the next upgrade of that package replaces it"
    owner = step.stores[0].store.owner
    return None if owner is None else f"from {owner}: the next upgrade of that replaces it"


def upgrades(plan: Plan) -> list[str]:
    """What a plain upgrade of packages would mend, as far as versions are known; before any patch, that is better."""
    found: dict[str, int] = {}
    for step in plan.steps:
        facts = step.system or step.facts
        if facts.newer and not facts.newer.startswith("no "):
            text = f"{facts.newer}: {facts.upgrade}" if facts.upgrade else facts.newer
            if (
                step.system
                and step.system.system.configured
                and any(j.store.family is Family.JAVA for j in step.stores)
            ):
                text += " (the Java key store is not made anew by that: Debian bug 1069251)"
            found[text] = found.get(text, 0) + 1
    return [f"{text} ({count} stores)" if count > 1 else text for text, count in found.items()]
