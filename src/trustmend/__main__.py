"""`python -m trustmend`, the same as the `trustmend` command."""

from trustmend.cli.start import main

if __name__ == "__main__":
    main()
