"""The verdict engine beside the real libraries."""
