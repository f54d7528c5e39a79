"""The one place that writes: every change to a file system goes through here."""
