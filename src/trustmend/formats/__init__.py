"""The forms of trust stores: each module turns bytes into entries; the registry stands in `registry`."""
