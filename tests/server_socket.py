"""A service behind a real socket on loopback, in a thread of this process."""

import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

import httpx2 as httpx
import uvicorn
from fake_decomposer import FakeDecomposer

from lamina.server.app import create_app
from lamina.server.settings import Settings
from lamina.server.store import Store

__all__ = ["behind_socket"]

PATIENCE = 120
"""Seconds, for a busy computer."""


@contextmanager
def behind_socket(
    settings: Settings, prepare: Callable[[Store], object] = lambda store: None
) -> Generator[httpx.Client]:
    """A client of it; `prepare` is given the store before the service begins."""
    fake = FakeDecomposer()
    app = create_app(fake, settings=settings, split=fake.split)
    prepare(app.state.store)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, args=([sock],), daemon=True)
        thread.start()
        try:
            end = time.monotonic() + PATIENCE
            while not server.started:
                assert thread.is_alive(), "the service did not start"
                assert time.monotonic() < end
                time.sleep(0.01)
            with httpx.Client(base_url=f"http://127.0.0.1:{sock.getsockname()[1]}", timeout=PATIENCE) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
