"""trustmend: find every trust store on a host, judge it, mend it, take it back."""

__version__ = "0.1.0"
