"""`python -m lamina` is the command line, also where its script is not on the path."""

import sys

from lamina.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
