"""The real machines and programs that the tests compare with."""
