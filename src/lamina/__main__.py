"""`python -m lamina` is the command line, also where its script is not on the path."""

from lamina.cli import run

__all__: list[str] = []

if __name__ == "__main__":
    run()
