"""Draw the picture of the editor in the README: the example poster with its sun and boat moved, before and after.

    python docs/draw_editor.py OUT.png [--chromium PATH]

Runs the service on loopback with the embedded checkpoint and works the editor in headless Chromium as a person would:
drags what lies under a point. Needs Playwright and a Chromium.
"""

import argparse
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvicorn
from playwright.sync_api import sync_playwright

from lamina.decompose.decomposer import Decomposer
from lamina.server.app import create_app
from lamina.server.settings import Settings

__all__ = ["main"]

POSTER = Path(__file__).resolve().parent.parent / "examples" / "poster.png"
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
FLAGS += ("--disable-component-update", "--disable-sync")
DRAGS = (((690, 540), (740, 560)), ((700, 1080), (630, 1110)))
"""From and to, in pixels of the poster: the sun sinks a little, the boat sails on."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    options = parser.parse_args(arguments)
    decompose = Decomposer.load("small", device="cpu")
    with tempfile.TemporaryDirectory() as home, socket.create_server(("127.0.0.1", 0)) as sock:
        app = create_app(decompose, settings=Settings(home=Path(home)))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        thread = threading.Thread(target=server.run, args=([sock],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=options.chromium, args=list(FLAGS))
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(f"http://127.0.0.1:{sock.getsockname()[1]}")
            work(page)
            page.screenshot(path=options.out)
            browser.close()
        server.should_exit = True
        thread.join()


def work(page: Any) -> None:
    """Open the poster, drag, and show before and after."""
    page.wait_for_selector("html[data-ready]")
    page.set_input_files("#file", POSTER)
    page.wait_for_selector("#layer-list li", timeout=120_000)
    page.wait_for_timeout(1000)
    box = page.locator("#view").bounding_box()
    zoom = int(page.locator("#zoom-real").inner_text().split()[0]) / 100
    left, top = box["x"] + box["width"] / 2 - 512 * zoom, box["y"] + box["height"] / 2 - 640 * zoom
    for start, end in DRAGS:
        page.mouse.move(left + start[0] * zoom, top + start[1] * zoom)
        page.mouse.down()
        for step in range(1, 11):
            x, y = (a + (b - a) * step / 10 for a, b in zip(start, end, strict=True))
            page.mouse.move(left + x * zoom, top + y * zoom)
        page.mouse.up()
        page.wait_for_timeout(500)
    page.get_by_role("button", name="Before / after").click()
    page.wait_for_timeout(500)


if __name__ == "__main__":
    main()
