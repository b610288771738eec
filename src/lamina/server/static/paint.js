// @ts-check
// Painting a document with the browser's own compositor, which blends as W3C Compositing and Blending says.

import { layersOf, matrix } from "./tree.js";

/** @typedef {import("./tree.js").Doc} Doc */
/** @typedef {import("./tree.js").Node} Node */
/** @typedef {import("./tree.js").Layer} Layer */

/** How a sheet is asked for on which layers are blended: 8 bits would round after every layer, the reference compositor
 * rounds once. A browser that does not know it gives 8 bits. @type {any} */
export const DEEP = { colorType: "float16" };

/** @type {Map<string, Promise<ImageBitmap>>} */
const loading = new Map();
/** @type {Map<string, ImageBitmap>} */
const loaded = new Map();

/** Load stored pixels once. @param {string} name @param {string} address @returns {Promise<ImageBitmap>} */
export function load(name, address) {
  let picture = loading.get(name);
  if (!picture) {
    picture = fetch(address, { credentials: "same-origin" })
      .then((answer) => {
        if (!answer.ok) throw new Error(`The pixels of a layer could not be loaded (${answer.status}).`);
        return answer.blob();
      })
      .then((blob) => createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" }));
    picture.then((bitmap) => loaded.set(name, bitmap), () => loading.delete(name));
    loading.set(name, picture);
  }
  return picture;
}

/** Load all pixels of a document. @param {Doc} doc */
export async function loadAll(doc) {
  await Promise.all(layersOf(doc.layers).map((layer) => load(layer.sha256, layer.pixels)));
}

/** Forget pixels that no open document shows. @param {Set<string>} needed */
export function forget(needed) {
  for (const [name, bitmap] of loaded) {
    if (needed.has(name)) continue;
    bitmap.close();
    loaded.delete(name);
    loading.delete(name);
  }
}

/** @param {string} name @returns {ImageBitmap | undefined} */
export function bitmap(name) {
  return loaded.get(name);
}

/**
 * Paint nodes, bottom first, onto a context; `view` takes canvas pixels to the context's.
 * @param {CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D} context
 * @param {Node[]} nodes @param {DOMMatrix} view
 */
export function paint(context, nodes, view) {
  for (const node of nodes) {
    if (!node.visible || node.opacity === 0) continue;
    context.globalAlpha = node.opacity;
    if (node.kind === "group") {
      const { width, height } = context.canvas;
      const own = new OffscreenCanvas(width, height);
      paint(/** @type {OffscreenCanvasRenderingContext2D} */ (own.getContext("2d", DEEP)), node.children, view);
      context.globalAlpha = node.opacity;
      context.globalCompositeOperation = "source-over";
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.drawImage(own, 0, 0);
      continue;
    }
    const picture = loaded.get(node.sha256);
    if (!picture) continue;
    const at = view.multiply(matrix(node));
    context.setTransform(at);
    const whole = at.b === 0 && at.c === 0 && at.a === 1 && at.d === 1 && Number.isInteger(at.e) && Number.isInteger(at.f);
    context.imageSmoothingEnabled = !whole && !(at.a > 2 && at.b === 0);
    context.imageSmoothingQuality = "high";
    context.globalCompositeOperation = /** @type {GlobalCompositeOperation} */ (node.blend === "normal" ? "source-over" : node.blend);
    context.drawImage(picture, 0, 0);
  }
  context.globalAlpha = 1;
  context.globalCompositeOperation = "source-over";
  context.setTransform(1, 0, 0, 1, 0, 0);
}

const probe = /** @type {OffscreenCanvasRenderingContext2D} */ (
  new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true })
);

/** The topmost layer that is seen at a place of the canvas. @param {Node[]} nodes @param {number} x @param {number} y @returns {Layer | null} */
export function topAt(nodes, x, y) {
  for (const node of [...nodes].reverse()) {
    if (!node.visible || node.opacity === 0) continue;
    if (node.kind === "group") {
      const inner = topAt(node.children, x, y);
      if (inner) return inner;
      continue;
    }
    const picture = loaded.get(node.sha256);
    const at = new DOMPoint(x, y).matrixTransform(matrix(node).inverse());
    const [column, row] = [Math.floor(at.x), Math.floor(at.y)];
    if (!picture || column < 0 || row < 0 || column >= node.width || row >= node.height) continue;
    probe.clearRect(0, 0, 1, 1);
    probe.drawImage(picture, -column, -row);
    if (probe.getImageData(0, 0, 1, 1).data[3] > 12) return node;
  }
  return null;
}
