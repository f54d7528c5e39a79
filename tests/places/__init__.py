"""Tests of the places: where trust stores are."""
