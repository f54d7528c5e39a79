"""trustmend: find every trust store on a host, judge it, mend it, take it back."""

from typing import Final

__version__: Final = "0.1.0"
