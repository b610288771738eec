"""A service in this process, and one behind a real socket."""

import contextlib
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from fake_decomposer import FakeDecomposer
from server_pictures import png_bytes
from server_socket import behind_socket
from starlette.testclient import TestClient

from lamina.server.app import create_app
from lamina.server.settings import Settings

NewService = Callable[..., contextlib.AbstractContextManager[TestClient]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def new_service(home: Path) -> NewService:
    """Makes services over one home, one after the other, with these settings."""

    @contextlib.contextmanager
    def make(**settings: Any) -> Iterator[TestClient]:
        fake = FakeDecomposer()
        values = {"home": home, "hosts": ("testserver",), **settings}
        with TestClient(create_app(fake, settings=Settings(**values), split=fake.split)) as client:
            yield client

    return make


@pytest.fixture
def service(new_service: NewService) -> Iterator[TestClient]:
    with new_service() as client:
        yield client


@pytest.fixture
def document(service: TestClient) -> dict[str, Any]:
    """A document of the service."""
    job = service.post("/v1/decompositions?wait=1", files={"image": png_bytes()}).json()
    return service.get(f"/v1/documents/{job['document_id']}").json()


@pytest.fixture
def live(tmp_path: Path) -> Generator[Callable[..., httpx.Client]]:
    """Starts a service behind a real socket on loopback and gives a client of it."""
    with contextlib.ExitStack() as stack:

        def start(**settings: Any) -> httpx.Client:
            return stack.enter_context(behind_socket(Settings(home=tmp_path / "live", **settings)))

        yield start
