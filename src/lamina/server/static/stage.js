// @ts-check
// The canvas: zoom and pan, select what is seen, move, resize and rotate, before and after.
//
// While something is dragged, only its own numbers change here; the edit goes to the service when it is let go.

import * as dragging from "./drag.js";
import { DEEP, bitmap, load, paint, topAt } from "./paint.js";
import { bounds, corners, find, locked } from "./tree.js";
import * as session from "./session.js";

/** @typedef {import("./tree.js").Node} Node */
/** @typedef {import("./drag.js").Drag} Drag */

const HANDLE = 9; // CSS pixels
const TURN = 28; // how far the handle of rotation stands off
const SNAP = 6;
const ROOM = 5 * HANDLE; // a side shorter than this has no handle of its own

const canvas = /** @type {HTMLCanvasElement} */ (document.getElementById("view"));
const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));

/** Canvas pixels to CSS pixels of the view: `zoom` times the place, plus x, y. */
const view = { zoom: 1, x: 0, y: 0 };

/** @type {{on: boolean, share: number}} */
export const comparison = { on: false, share: 0.5 };

/** Figures for whoever measures: frames painted. */
export const frames = { count: 0 };

/** @type {(problem: unknown) => void} */
let tell = console.error;

/** @param {(problem: unknown) => void} onProblem */
export function start(onProblem) {
  tell = onProblem;
  new ResizeObserver(() => (isFit ? fit() : redraw())).observe(canvas);
  canvas.addEventListener("pointerdown", press);
  canvas.addEventListener("pointermove", hover);
  canvas.addEventListener("wheel", wheel, { passive: false });
  canvas.addEventListener("keydown", key);
  session.onChange(() => {
    const id = session.shown.doc ? `${session.shown.doc.width}x${session.shown.doc.height} ${session.state().at}` : "";
    if (id !== fitted) {
      fitted = id;
      fit();
    }
    redraw();
  });
}

let fitted = "";
let isFit = false; // as long as it is, it stays so when the window changes
let asked = 0;

export function redraw() {
  if (!asked) asked = requestAnimationFrame(draw);
}

export function fit() {
  const doc = session.shown.doc;
  if (!doc) return;
  const { clientWidth: w, clientHeight: h } = canvas;
  const zoom = Math.min((w - 40) / doc.width, (h - 90) / doc.height);
  setZoom(zoom >= 1 ? Math.min(Math.floor(zoom), 8) : Math.max(zoom, 0.01));
  view.x = Math.round((w - doc.width * view.zoom) / 2);
  view.y = Math.round((h - doc.height * view.zoom) / 2);
  isFit = true;
  redraw();
}

/** Zoom about a place of the view. @param {number} zoom @param {number} [x] @param {number} [y] */
export function setZoom(zoom, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
  zoom = Math.min(Math.max(zoom, 0.01), 32);
  view.x = Math.round(x - ((x - view.x) * zoom) / view.zoom);
  view.y = Math.round(y - ((y - view.y) * zoom) / view.zoom);
  view.zoom = zoom;
  isFit = false;
  const shown = document.getElementById("zoom-real");
  if (shown) shown.textContent = `${Math.round(zoom * 100)} %`;
  redraw();
}

export function getZoom() {
  return view.zoom;
}

/** Canvas pixels to device pixels. */
function toDevice() {
  const ratio = devicePixelRatio;
  return new DOMMatrix().scale(ratio, ratio).translate(view.x, view.y).scale(view.zoom, view.zoom);
}

/** What stays the same while a node is dragged; `moving` is the node itself, with its corner, while it is moved.
 * @type {{id: string, below: OffscreenCanvas, above: OffscreenCanvas, moving: OffscreenCanvas | null, x: number, y: number} | null} */
let cached = null;

function draw() {
  asked = 0;
  const ratio = devicePixelRatio;
  const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, width, height);
  const doc = session.shown.doc;
  if (!doc) return;
  const at = toDevice();
  const [left, top] = [at.e, at.f];
  const [w, h] = [doc.width * at.a, doc.height * at.d];
  context.save();
  context.beginPath();
  context.rect(left, top, w, h);
  context.clip();
  checkerboard(left, top, w, h);
  const sheet = drag ? surface("dragged", width, height) : surface("stack", width, height); // quick, or exact
  const pen = pencil(sheet, drag ? undefined : DEEP);
  pen.clearRect(0, 0, width, height);
  paintStack(pen, doc.layers, at, width, height);
  context.drawImage(sheet, 0, 0);
  if (comparison.on && doc.source) compare(doc.source, at, left, top, w, h);
  context.restore();
  outline(at);
  frames.count++;
}

/** While a node at the top level is dragged, what lies below and above it is painted once. */
function paintStack(/** @type {OffscreenCanvasRenderingContext2D} */ pen, /** @type {Node[]} */ layers, /** @type {DOMMatrix} */ at, /** @type {number} */ width, /** @type {number} */ height) {
  const index = drag ? layers.findIndex((node) => node.id === drag?.node.id) : -1;
  const plain = layers.slice(index + 1).every((node) => node.kind === "group" || node.blend === "normal" || !node.visible);
  if (!drag || index < 0 || !plain || drag.kind === "pan") {
    cached = null;
    paint(pen, layers, at);
    return;
  }
  const node = layers[index];
  if (cached?.id !== node.id) {
    const below = new OffscreenCanvas(width, height), above = new OffscreenCanvas(width, height);
    paint(pencil(below), layers.slice(0, index), at);
    paint(pencil(above), layers.slice(index + 1), at);
    cached = { id: node.id, below, above, ...lifted(drag, at) };
  }
  pen.drawImage(cached.below, 0, 0);
  if (cached.moving) {
    pen.globalAlpha = node.opacity;
    const blend = node.kind === "group" || node.blend === "normal" ? "source-over" : node.blend;
    pen.globalCompositeOperation = /** @type {GlobalCompositeOperation} */ (blend);
    pen.drawImage(cached.moving, Math.round(cached.x + drag.dx * at.a), Math.round(cached.y + drag.dy * at.d));
    pen.globalAlpha = 1;
    pen.globalCompositeOperation = "source-over";
  } else paint(pen, [node], at);
  pen.drawImage(cached.above, 0, 0);
}

const MOST_LIFTED = 16e6; // device pixels

/** A node that is moved, painted once where it lay; too large a one is painted every time. */
function lifted(/** @type {Drag} */ drag, /** @type {DOMMatrix} */ at) {
  const nothing = { moving: null, x: 0, y: 0 };
  if (drag.kind !== "move" || !drag.node.visible) return nothing;
  const box = bounds(drag.node);
  const x = Math.floor((box.left - drag.dx) * at.a + at.e) - 1, y = Math.floor((box.top - drag.dy) * at.d + at.f) - 1;
  const width = Math.ceil((box.right - box.left) * at.a) + 3, height = Math.ceil((box.bottom - box.top) * at.d) + 3;
  if (width * height > MOST_LIFTED) return nothing;
  const moving = new OffscreenCanvas(width, height);
  const back = new DOMMatrix().translate(-x, -y).multiply(at).translate(-drag.dx, -drag.dy);
  paint(pencil(moving), [{ ...drag.node, opacity: 1, ...(drag.node.kind === "layer" ? { blend: "normal" } : {}) }], back);
  return { moving, x, y };
}

/** @type {Map<string, OffscreenCanvas>} */
const surfaces = new Map();

function surface(/** @type {string} */ name, /** @type {number} */ width, /** @type {number} */ height) {
  let found = surfaces.get(name);
  if (!found || found.width !== width || found.height !== height) {
    found = new OffscreenCanvas(Math.max(width, 1), Math.max(height, 1));
    surfaces.set(name, found);
  }
  return found;
}

function pencil(/** @type {OffscreenCanvas} */ sheet, /** @type {any} */ kind = undefined) {
  return /** @type {OffscreenCanvasRenderingContext2D} */ (sheet.getContext("2d", kind));
}

function checkerboard(/** @type {number} */ left, /** @type {number} */ top, /** @type {number} */ w, /** @type {number} */ h) {
  const style = getComputedStyle(document.documentElement);
  const tile = surface("tile", 20, 20);
  const pen = pencil(tile);
  pen.fillStyle = style.getPropertyValue("--check-a");
  pen.fillRect(0, 0, 20, 20);
  pen.fillStyle = style.getPropertyValue("--check-b");
  pen.fillRect(0, 0, 10, 10);
  pen.fillRect(10, 10, 10, 10);
  context.fillStyle = /** @type {CanvasPattern} */ (context.createPattern(tile, "repeat"));
  context.fillRect(left, top, w, h);
}

function compare(/** @type {{sha256: string, pixels: string}} */ source, /** @type {DOMMatrix} */ at, /** @type {number} */ left, /** @type {number} */ top, /** @type {number} */ w, /** @type {number} */ h) {
  const picture = bitmap(source.sha256);
  if (!picture) {
    load(source.sha256, source.pixels).then(redraw, tell);
    return;
  }
  context.save();
  context.beginPath();
  context.rect(left, top, w * comparison.share, h);
  context.clip();
  checkerboard(left, top, w, h);
  context.setTransform(at);
  context.drawImage(picture, 0, 0);
  context.restore();
  context.fillStyle = "#4f46e5";
  context.fillRect(left + w * comparison.share - 1, top, 2, h);
}

/** The frame of the selected node, and a layer's handles. */
function outline(/** @type {DOMMatrix} */ at) {
  const node = selected();
  if (!node || comparison.on) return;
  const points = frame(node).map((point) => point.matrixTransform(at));
  context.lineWidth = 1.5 * devicePixelRatio;
  context.strokeStyle = locked(node) ? "#9ca3af" : "#4f46e5";
  context.beginPath();
  points.forEach((p, k) => (k ? context.lineTo(p.x, p.y) : context.moveTo(p.x, p.y)));
  context.closePath();
  context.stroke();
  if (drag) guides(drag.caught, at);
  if (locked(node)) return;
  context.fillStyle = "#ffffff";
  for (const { x, y } of handles(node)) {
    context.beginPath();
    context.arc(x * devicePixelRatio, y * devicePixelRatio, (HANDLE / 2) * devicePixelRatio, 0, 7);
    context.fill();
    context.stroke();
  }
}

/** The lines at which a dragged node is held. */
function guides(/** @type {Drag["caught"]} */ { x, y }, /** @type {DOMMatrix} */ at) {
  context.fillStyle = "#e11d48";
  const thick = devicePixelRatio;
  if (x !== null) context.fillRect(Math.round(x * at.a + at.e), 0, thick, canvas.height);
  if (y !== null) context.fillRect(0, Math.round(y * at.d + at.f), canvas.width, thick);
}

/** @param {Node} node @returns {DOMPoint[]} */
function frame(node) {
  if (node.kind === "layer") return corners(node);
  const { left, top, right, bottom } = bounds(node);
  return [[left, top], [right, top], [right, bottom], [left, bottom]].map(([x, y]) => new DOMPoint(x, y));
}

/** Handles in CSS pixels: four corners, one above the top edge that turns, then sides. @param {Node} node
 * @returns {{x: number, y: number, kind: "resize" | "rotate", axes: Drag["axes"]}[]} */
function handles(node) {
  const points = frame(node).map(toView);
  const [a, b, c, d] = points;
  const between = (/** @type {Point} */ p, /** @type {Point} */ q) => ({ x: (p.x + q.x) / 2, y: (p.y + q.y) / 2 });
  const [width, height] = [Math.hypot(b.x - a.x, b.y - a.y), Math.hypot(d.x - a.x, d.y - a.y)];
  const top = between(a, b);
  const up = { x: (a.x - d.x) / (height || 1), y: (a.y - d.y) / (height || 1) };
  /** @type {ReturnType<typeof handles>} */
  const made = points.map((p) => ({ ...p, kind: "resize", axes: "both" }));
  made.push({ x: top.x + up.x * TURN, y: top.y + up.y * TURN, kind: "rotate", axes: "both" });
  if (!dragging.stretches(node)) return made;
  for (const p of height >= ROOM ? [between(b, c), between(d, a)] : []) made.push({ ...p, kind: "resize", axes: "x" });
  for (const p of width >= ROOM ? [top, between(c, d)] : []) made.push({ ...p, kind: "resize", axes: "y" });
  return made;
}

/** @typedef {{x: number, y: number}} Point */

function toView(/** @type {Point} */ point) {
  return { x: point.x * view.zoom + view.x, y: point.y * view.zoom + view.y };
}

function toCanvas(/** @type {{offsetX: number, offsetY: number}} */ event) {
  return { x: (event.offsetX - view.x) / view.zoom, y: (event.offsetY - view.y) / view.zoom };
}

function selected() {
  return session.shown.doc && session.shown.selected ? (find(session.shown.doc, session.shown.selected) ?? null) : null;
}

/** @type {Drag | null} */
let drag = null;

function press(/** @type {PointerEvent} */ event) {
  const doc = session.shown.doc;
  if (!doc || (event.button !== 0 && event.button !== 1)) return;
  canvas.focus();
  const from = toCanvas(event);
  let node = selected();
  const handle = node && !locked(node) && event.button === 0 ? grabbed(node, event) : undefined;
  /** @type {Drag["kind"]} */
  let kind = handle?.kind ?? "move";
  if (!handle) {
    node = event.button === 0 && !event.altKey ? topAt(doc.layers, from.x, from.y) : null;
    if (event.button === 0) session.select(node?.id ?? null);
    if (!node || locked(node)) kind = "pan";
  }
  const start = node ?? doc.layers[0];
  if (!start) return;
  drag = dragging.begin(kind, handle?.axes ?? "both", doc, start, from);
  canvas.setPointerCapture(event.pointerId);
  const [x, y, vx, vy] = [event.offsetX, event.offsetY, view.x, view.y];
  const moved = (/** @type {PointerEvent} */ now) => {
    if (!drag) return;
    if (drag.kind === "pan") {
      view.x = Math.round(vx + now.offsetX - x);
      view.y = Math.round(vy + now.offsetY - y);
      isFit = false;
    } else dragging.follow(drag, toCanvas(now), now.shiftKey, SNAP / view.zoom);
    redraw();
  };
  const end = () => {
    canvas.removeEventListener("pointermove", moved);
    canvas.removeEventListener("pointerup", end);
    canvas.removeEventListener("pointercancel", end);
    const ended = drag;
    drag = cached = null;
    if (ended) commit(ended);
  };
  canvas.addEventListener("pointermove", moved);
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
}

function grabbed(/** @type {Node} */ node, /** @type {PointerEvent} */ event) {
  const reach = event.pointerType === "touch" ? 2.5 * HANDLE : HANDLE;
  return handles(node).find(({ x, y }) => Math.hypot(x - event.offsetX, y - event.offsetY) <= reach);
}

function commit(/** @type {Drag} */ ended) {
  const edit = dragging.editOf(ended);
  redraw();
  if (!edit) return;
  session.edit(edit).catch((problem) => {
    dragging.undo(ended);
    redraw();
    tell(problem);
  });
}

function hover(/** @type {PointerEvent} */ event) {
  const node = selected();
  const handle = node && !locked(node) && !drag ? grabbed(node, event) : undefined;
  if (!drag) canvas.style.cursor = handle?.kind === "rotate" ? "grab" : handle ? "nwse-resize" : "default";
}

function wheel(/** @type {WheelEvent} */ event) {
  event.preventDefault();
  if (event.ctrlKey || event.metaKey || !event.shiftKey) {
    setZoom(view.zoom * Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY);
    return;
  }
  view.x -= event.deltaX || event.deltaY;
  isFit = false;
  redraw();
}

/** Arrow keys move the selected node by a pixel, with Shift by ten. */
function key(/** @type {KeyboardEvent} */ event) {
  const node = selected();
  const by = event.shiftKey ? 10 : 1;
  const way = { ArrowLeft: [-by, 0], ArrowRight: [by, 0], ArrowUp: [0, -by], ArrowDown: [0, by] }[event.key];
  if (!way || !node || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  session.edit({ edit: "move", layer: node.id, dx: way[0], dy: way[1] }).catch(tell);
}
