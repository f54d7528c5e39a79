"""The real readers of trust stores, asked what they make of a store."""
