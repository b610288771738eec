"""The editor in a real browser, driven as a person drives it."""

import io
import os
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_documents import GOLDEN
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright
from server_pictures import png_bytes
from server_socket import behind_socket

import lamina
from lamina.document.composite import flatten
from lamina.document.document import from_json
from lamina.pixels import over_flat
from lamina.server.settings import Settings
from lamina.server.store import Store

pytestmark = pytest.mark.peer

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
FLAGS += ("--disable-component-update", "--disable-sync")
PATIENCE_MS = 60_000
"""Longest wait for anything that the editor is to show; a busy computer is no failure."""

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def browser(require_program: Callable[[str], str]) -> Generator[Any]:
    path = require_program("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def editor(browser: Any, live: Any) -> Generator[Callable[..., Page]]:
    """Opens the editor of a new service; what its scripts complain of fails the test."""
    complaints: list[str] = []
    pages: list[Page] = []

    def start(width: int = 1280, height: int = 800, **settings: Any) -> Page:
        client = live(**settings)
        page = browser.new_page(viewport={"width": width, "height": height}, accept_downloads=True)
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(str(client.base_url))
        pages.append(page)
        return page

    yield start
    for page in pages:
        page.context.close()
    assert complaints == []


def ready(page: Page) -> Page:
    page.wait_for_selector("html[data-ready]")
    return page


def drop(page: Page, data: bytes, name: str = "cat.png", kind: str = "image/png") -> None:
    page.evaluate(
        """([bytes, name, type]) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], name, { type }));
          const event = new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true });
          document.body.dispatchEvent(event);
        }""",
        [list(data), name, kind],
    )


def opened(page: Page, width: int = 400, height: int = 300) -> Page:
    drop(ready(page), png_bytes(width, height))
    expect(page.locator("#layer-list li")).to_have_count(2)
    return page


def names(page: Page) -> list[str]:
    return page.locator("#layer-list .title").all_inner_texts()


def until(page: Page, condition: str, arg: Any = None) -> None:
    """Wait until a condition on what the editor has `shown` holds."""
    question = f"async (arg) => {{ const {{ shown }} = await import('/static/session.js'); return {condition}; }}"
    end = time.monotonic() + PATIENCE_MS / 1000
    while not page.evaluate(question, arg):  # wait_for_function takes the promise itself for a yes
        assert time.monotonic() < end, f"never so: {condition}"
        page.wait_for_timeout(20)


def shown_document(page: Page) -> Any:
    """The document that the editor shows, from the service, with its pixels."""
    body = page.evaluate(
        """async () => {
          const { shown } = await import("/static/session.js");
          return (await fetch(`/v1/documents/${shown.doc.id}`)).json();
        }"""
    )

    def pixels(entry: Any) -> np.ndarray:
        with Image.open(io.BytesIO(page.request.get(page.url.rstrip("/") + entry["pixels"]).body())) as image:
            return np.array(image)

    return from_json(body, pixels)


def place(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where a canvas pixel of a document of 400x300 px is on the screen, while it is fit."""
    box = page.locator("#view").bounding_box()
    assert box is not None
    zoom = int(str(page.locator("#zoom-real").inner_text()).split()[0]) / 100
    left = box["x"] + round((box["width"] - 400 * zoom) / 2)
    top = box["y"] + round((box["height"] - 300 * zoom) / 2)
    return left + x * zoom, top + y * zoom


def test_a_designer_takes_a_picture_apart_changes_it_and_takes_it_on(editor: Any, tmp_path: Path) -> None:
    page = opened(editor())
    assert names(page) == ["Square", "Ground"]
    expect(page.locator("#fidelity")).to_have_text("✓ 100.0 % exact")

    start, end = place(page, 150, 110), place(page, 193, 147)  # the square: 100-200, 75-150
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*place(page, 170, 120))
    page.mouse.move(*end)
    page.mouse.up()
    expect(page.locator("#undo")).to_be_enabled()
    square = shown_document(page).find("square")
    assert (abs(square.x - 143) <= 1, abs(square.y - 112) <= 1) == (True, True)
    expect(page.locator("#fidelity")).to_be_hidden()  # it is no longer the picture

    pixels_before = page.evaluate("async () => (await import('/static/session.js')).shown.doc.layers.at(-1).sha256")
    page.locator("#color").evaluate("(e) => { e.value = '#00ff00'; e.dispatchEvent(new Event('change')); }")
    until(page, "shown.doc.layers.at(-1).sha256 !== arg", pixels_before)
    green = shown_document(page).find("square").rgba
    assert green[..., 1].mean() > green[..., 0].mean() + 40

    page.locator("#split").click()
    expect(page.locator("#layer-list ul li")).to_have_count(2)
    assert names(page) == ["▾ Square", "Square", "Square", "Ground"]
    page.locator("#undo").click()
    expect(page.locator("#layer-list ul li")).to_have_count(0)
    page.locator("#redo").click()
    expect(page.locator("#layer-list ul li")).to_have_count(2)

    with page.expect_download() as waited:
        page.locator("#export").select_option("psd")
    path = tmp_path / "taken.psd"
    waited.value.save_as(path)
    assert np.array_equal(flatten(lamina.read(path)), flatten(shown_document(page)))

    page.reload()
    expect(ready(page).locator("#layer-list ul li")).to_have_count(2)
    page.locator("#undo").click()
    expect(page.locator("#layer-list ul li")).to_have_count(0)
    kinds = page.locator("#export option").all_inner_texts()
    assert {"PSD", "PSB", "ORA", "PPTX", "ZIP", "PNG"} <= set(kinds)


def test_layers_are_hidden_renamed_reordered_merged_and_deleted_by_keyboard_and_mouse(editor: Any) -> None:
    page = opened(editor())
    page.locator("#layer-list .row").first.click()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#name")).to_have_value("Ground")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Show Ground")).to_be_visible()
    page.keyboard.press("Control+z")
    expect(page.get_by_role("button", name="Hide Ground")).to_be_visible()
    page.locator("#name").fill("Sea")
    page.locator("#name").press("Enter")
    expect(page.locator("#layer-list .title").last).to_have_text("Sea")
    page.locator("#raise").click()
    expect(page.locator("#layer-list .title").first).to_have_text("Sea")
    page.get_by_role("button", name="Lock Sea").click()
    expect(page.locator("#delete")).to_be_disabled()
    page.get_by_role("button", name="Unlock Sea").click()
    page.locator("#duplicate").click()
    expect(page.locator("#layer-list li")).to_have_count(3)
    page.locator("#layer-list .row").first.drag_to(page.locator("#layer-list .row").last)
    expect(page.locator("#layer-list .title").nth(1)).to_have_text("Sea copy")
    page.locator("#merge").click()
    expect(page.locator("#layer-list li")).to_have_count(2)
    page.locator("#layer-list .row").first.click()
    page.locator("#view").focus()
    page.keyboard.press("Shift+ArrowRight")
    until(page, "shown.doc.layers.at(-1).x === 10")
    page.keyboard.press("Delete")
    expect(page.locator("#layer-list li")).to_have_count(1)
    for _ in range(3):
        page.keyboard.press("Control+z")
    expect(page.locator("#layer-list li")).to_have_count(3)


def drag(page: Page, start: tuple[float, float], end: tuple[float, float], *, shift: bool = False) -> dict[str, Any]:
    """Drag between two canvas pixels of a document of 400x300 px; gives the square as the service then has it."""
    before = page.evaluate("async () => (await import('/static/session.js')).shown.doc.id")
    page.mouse.move(*place(page, *start))
    page.mouse.down()
    if shift:
        page.keyboard.down("Shift")
    page.mouse.move(*place(page, (start[0] + end[0]) / 2, (start[1] + end[1]) / 2))
    page.mouse.move(*place(page, *end))
    page.mouse.up()
    if shift:
        page.keyboard.up("Shift")
    until(page, "shown.doc.id !== arg", before)
    return page.evaluate(
        """async () => {
          const { shown } = await import("/static/session.js");
          const { layers } = await (await fetch(`/v1/documents/${shown.doc.id}`)).json();
          return layers.find((layer) => layer.id === "square");
        }"""
    )


def test_a_layer_is_stretched_by_its_sides_and_with_shift_by_its_corners(editor: Any) -> None:
    page = opened(editor())
    page.mouse.click(*place(page, 150, 112))  # the square: 100-200, 75-150, its middle at 150, 112.5
    square = drag(page, (200, 112.5), (237, 120))
    assert square["scale"] == pytest.approx([1.74, 1], abs=0.03)
    assert (square["x"], square["y"]) == (100, 75)  # the middle stays
    square = drag(page, (150 + 50 * square["scale"][0], 112.5), (202, 112.5))  # caught by the middle of the canvas
    assert square["scale"] == pytest.approx([1, 1], abs=1e-6)
    square = drag(page, (150, 150), (150, 175))
    assert square["scale"] == pytest.approx([1, 62.5 / 37.5], abs=0.03)
    square = drag(page, (200, 112.5 + 37.5 * square["scale"][1]), (240, 140), shift=True)
    assert square["scale"] == pytest.approx([90 / 50, 27.5 / 37.5], abs=0.04)
    square = drag(page, (150 + 50 * square["scale"][0], 112.5 + 37.5 * square["scale"][1]), (195, 126))
    assert square["scale"][0] / square["scale"][1] == pytest.approx(90 / 50 / (27.5 / 37.5), rel=0.08)
    assert square["scale"] == pytest.approx([0.9, 0.9 * 27.5 / 37.5 / 1.8], abs=0.05)


def test_a_moved_layer_is_caught_by_the_edges_and_middles_of_others(editor: Any) -> None:
    page = opened(editor())
    page.evaluate(
        """async () => {
          const session = await import("/static/session.js");
          await session.edit({ edit: "duplicate", layer: "square" });
          await session.edit({ edit: "move", layer: session.shown.doc.layers.at(-1).id, dx: 63, dy: 110 });
        }"""
    )
    square = drag(page, (150, 112), (211, 132))  # its left edge comes to 161, the other's is at 163
    assert (square["x"], square["y"]) == (163, 95)
    square = drag(page, (170, 112), (169, 114), shift=True)  # let go
    assert (square["x"], square["y"]) == (162, 97)
    square = drag(page, (170, 112), (270, 199))  # its top comes to 184, the other's is at 185; its left to 262, to 263
    assert (square["x"], square["y"]) == (263, 185)


@pytest.fixture(scope="module")
def golden(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Page, dict[str, str]]]:
    """An editor, and the names under which its service has the golden documents."""
    names: dict[str, str] = {}

    def keep(store: Store) -> None:
        names.update({name: store.save(make()) for name, make in GOLDEN.items()})

    with behind_socket(Settings(home=tmp_path_factory.mktemp("golden") / "home"), keep) as client:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(PATIENCE_MS)
        page.goto(str(client.base_url))
        yield ready(page), names
        page.context.close()


@pytest.mark.parametrize("name", GOLDEN)
def test_the_canvas_shows_what_the_reference_compositor_makes(golden: tuple[Page, dict[str, str]], name: str) -> None:
    page, names = golden
    width, height, shown = page.evaluate(
        """async (id) => {
          const session = await import("/static/session.js");
          for (const square of ["--check-a", "--check-b"]) document.documentElement.style.setProperty(square, "#fff");
          await session.open("Golden", id);
          (await import("/static/stage.js")).setZoom(1);
          for (let k = 0; k < 2; k++) await new Promise((painted) => requestAnimationFrame(painted));
          const view = document.getElementById("view");
          const { data } = view.getContext("2d").getImageData(0, 0, view.width, view.height);
          const xs = new Set(), ys = new Set(); // around the document, nothing is painted
          for (let k = 3; k < data.length; k += 4)
            if (data[k]) xs.add(((k - 3) / 4) % view.width), ys.add(Math.floor((k - 3) / 4 / view.width));
          const [left, top] = [Math.min(...xs), Math.min(...ys)];
          const pixels = view.getContext("2d").getImageData(left, top, xs.size, ys.size).data;
          return [xs.size, ys.size, [...pixels]];
        }""",
        names[name],
    )
    document = GOLDEN[name]()
    assert (width, height) == (document.width, document.height)
    expected = over_flat(flatten(document)).astype(np.int16)
    gap = np.abs(np.array(shown, np.int16).reshape(height, width, 4)[..., :3] - expected).max(axis=-1)
    assert gap.max() <= 2
    assert (gap <= 1).mean() >= 0.999


def test_what_goes_wrong_is_said_in_words(editor: Any) -> None:
    page = opened(editor(max_bytes=20_000))
    drop(page, b"%PDF no picture", "a.png")
    expect(page.locator("#message")).to_contain_text("no PNG, JPEG or WebP")
    drop(page, bytes(30_000))
    expect(page.locator("#message")).to_contain_text("expected at most 20000")
    expect(page.locator("#layer-list li")).to_have_count(2)  # nothing lost
    page.locator("#open").click()
    page.locator("#prompt").fill("wait")
    drop(page, png_bytes())
    expect(page.locator("#work")).to_be_visible()
    page.locator("#cancel").click()
    expect(page.locator("#message")).to_have_text("Cancelled.")
    expect(page.locator("#work")).to_be_hidden()


def test_a_reload_does_not_lose_the_picture_at_work(editor: Any) -> None:
    page = ready(editor())
    page.locator("#prompt").fill("slow")
    drop(page, png_bytes())
    page.wait_for_function("() => localStorage.getItem('lamina.pending.1')")
    page.reload()
    expect(ready(page).locator("#work-words")).to_contain_text("cat")
    expect(page.locator("#layer-list li")).to_have_count(2)
    assert page.evaluate("localStorage.getItem('lamina.pending.1')") is None


def test_the_token_is_asked_for_once(editor: Any) -> None:
    page = editor(token="s3cret")
    for given in ("wrong", "s3cret"):
        expect(page.locator("#token-dialog")).to_be_visible()
        page.locator("#token").fill(given)
        page.locator("#token-dialog button").click()
    opened(page)
    page.reload()
    expect(ready(page).locator("#layer-list li")).to_have_count(2)
    cookie = page.context.cookies()[0]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")


@pytest.mark.parametrize("width", [1280, 390])
def test_everything_is_within_reach_at_both_widths(editor: Any, width: int) -> None:
    page = opened(editor(width, 800))
    page.locator("#layer-list .row").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for name in ("#open", "#undo", "#compare", "#export", "#view", "#delete", "#zoom-fit"):
        page.locator(name).scroll_into_view_if_needed()
        box = page.locator(name).bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width + 1
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, canvas#view")].filter((e) =>
          e.checkVisibility() && !e.labels?.length && !e.getAttribute("aria-label") && !e.textContent.trim()).length"""
    )
    assert unnamed == 0
    if target := os.environ.get("LAMINA_SCREENSHOTS"):
        page.screenshot(path=f"{target}/editor-{width}.png")


def test_boxes_drawn_on_the_picture_are_sent_with_it(editor: Any) -> None:
    page = ready(editor())
    page.locator("#mark").check()
    drop(page, png_bytes(400, 300))
    view = page.locator("#regions-view")
    box = view.bounding_box()
    assert box is not None
    share = box["width"] / 400
    page.mouse.move(box["x"] + 40 * share, box["y"] + 30 * share)
    page.mouse.down()
    page.mouse.move(box["x"] + 200 * share, box["y"] + 150 * share)
    page.mouse.up()
    box = view.bounding_box()  # the list of boxes has grown
    assert box is not None
    share = box["width"] / 400
    page.mouse.click(box["x"] + 300 * share, box["y"] + 200 * share)
    page.locator("#regions-numbers").fill("1, 2, 30, 40")
    page.locator("#regions-add").click()
    expect(page.locator("#regions-list button")).to_have_count(3)
    page.get_by_role("button", name="Remove box 1, 2, 30, 40").click()
    page.locator("#regions-go").click()
    expect(page.locator("#layer-list li")).to_have_count(2)
    drawn, point = shown_document(page).meta["regions"]
    assert max(abs(a - b) for a, b in zip(drawn, (40, 30, 200, 150), strict=True)) <= 1
    assert max(abs(a - b) for a, b in zip(point, (300, 200), strict=True)) <= 1
