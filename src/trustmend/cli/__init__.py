"""The commands: each file parses, calls the core and shows; `app` joins them."""
