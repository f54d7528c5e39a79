"""What a newer version of the package or of the JDK that a store comes from would bring, as far as that is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from trustmend import upgrades

if TYPE_CHECKING:
    from trustmend.model import Store
    from trustmend.places import packages


def brought_by_package(package: packages.Package, roots: Sequence[str]) -> str | None:
    """What the next version of a package would bring of these roots, as far as that is known."""
    product = upgrades.product_of(package.manager, package.name)
    return None if product is None else upgrades.brought_by(product, package.version, roots)


def brought_by_java(store: Store, roots: Sequence[str]) -> str | None:
    """The same of the JDK whose own cacerts the store is; None for a store that it links or is started with."""
    for use in store.uses:
        if use.reader == "jsse" and use.program and store.path.startswith(f"{use.program}/"):
            product = upgrades.product_of_java((store.owner or "").partition(" Java ")[0])
            return None if product is None else upgrades.brought_by(product, use.version, roots)
    return None
