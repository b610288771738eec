"""How fluently the editor drags: frames a second in headless Chromium, a document of 2000x2000 px and 8 layers.

    python benchmarks/editor_drag.py [--chromium PATH] [--seconds 5]

Runs a service of its own on loopback with a decomposer that copies, and moves the mouse as fast as the browser takes
it. One JSON object on stdout: frames painted a second while the top layer is dragged, and one that lies below others.
"""

import argparse
import io
import json
import shutil
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from PIL import Image
from playwright.sync_api import sync_playwright
from service_load import copying

from lamina.server.app import create_app
from lamina.server.settings import Settings

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
FLAGS += ("--disable-component-update", "--disable-sync")


def dragged(page: Any, x: float, y: float, seconds: float) -> float:
    """Frames a second while the layer under (x, y) is dragged in circles."""
    count = "async () => (await import('/static/stage.js')).frames.count"
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 5, y + 5)
    start, frames = time.perf_counter(), page.evaluate(count)
    step = 0
    while time.perf_counter() - start < seconds:
        step += 1
        page.mouse.move(x + 60 * np.cos(step / 9), y + 60 * np.sin(step / 9))
    rate = (page.evaluate(count) - frames) / (time.perf_counter() - start)
    page.mouse.up()
    page.wait_for_timeout(500)
    return round(rate, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    parser.add_argument("--seconds", type=float, default=5)
    args = parser.parse_args()
    pixels = np.random.default_rng(1).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).resize((2000, 2000), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
    with tempfile.TemporaryDirectory() as home, socket.create_server(("127.0.0.1", 0)) as sock:
        app = create_app(copying, settings=Settings(home=Path(home)))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        thread = threading.Thread(target=server.run, args=([sock],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=args.chromium, args=list(FLAGS))
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(f"http://127.0.0.1:{sock.getsockname()[1]}")
            page.wait_for_selector("html[data-ready]")
            picture = {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": stream.getvalue()}
            page.set_input_files("#file", files=[picture])
            page.wait_for_selector("#layer-list li", timeout=120_000)
            page.wait_for_timeout(1000)
            box = page.locator("#view").bounding_box()
            middle_x, middle_y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
            side = 2000 * int(page.locator("#zoom-real").inner_text().split()[0]) / 100
            result: dict[str, Any] = {"zoom": side / 2000, "top layer": dragged(page, middle_x, middle_y, args.seconds)}
            edge = -side / 2 + side * (1 / 16 + 1 / 40)  # only the lowest part is seen there
            result["third layer"] = dragged(page, middle_x + edge, middle_y + edge, args.seconds)
            page.locator("#zoom-real").click()
            page.wait_for_timeout(500)
            result["top layer at 100 %"] = dragged(page, middle_x, middle_y, args.seconds)
            browser.close()
        server.should_exit = True
        thread.join()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
