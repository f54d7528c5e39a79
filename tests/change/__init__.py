"""Changing stores: files, journal, faults, patch and rollback."""
