"""Tests of the configuration that names trust stores."""
