"""What tests of every folder share."""

import os
import shutil
from collections.abc import Callable

import pytest


@pytest.fixture(scope="session")
def require_program() -> Callable[[str], str]:
    """Gives the path of a foreign program by name; without it the test is skipped, and in CI it fails."""

    def require(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            reason = f"the program {name} is not installed"
            if os.environ.get("CI"):
                pytest.fail(reason)
            pytest.skip(reason)
        return path

    return require
