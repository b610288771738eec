// @ts-check
// Reading a document's tree: find, walk, siblings. Nothing here changes a document; the service does.

/** @typedef {{kind: "layer", id: string, name: string, sha256: string, pixels: string, x: number, y: number,
 *    width: number, height: number, scale: [number, number], angle: number, locked: boolean, opacity: number,
 *    visible: boolean, blend: string}} Layer */
/** @typedef {{kind: "group", id: string, name: string, opacity: number, visible: boolean, children: Node[]}} Group */
/** @typedef {Layer | Group} Node */
/** @typedef {{id: string, width: number, height: number, layers: Node[], meta: any,
 *    source: {sha256: string, pixels: string} | null}} Doc */

/** Every node, a group before its children. @param {Node[]} nodes @returns {Generator<Node>} */
export function* walk(nodes) {
  for (const node of nodes) {
    yield node;
    if (node.kind === "group") yield* walk(node.children);
  }
}

/** @param {Node[]} nodes @returns {Layer[]} */
export function layersOf(nodes) {
  return /** @type {Layer[]} */ ([...walk(nodes)].filter((node) => node.kind === "layer"));
}

/** @param {Doc} doc @param {string} id @returns {Node | undefined} */
export function find(doc, id) {
  return [...walk(doc.layers)].find((node) => node.id === id);
}

/**
 * Where a node is: its siblings, bottom first, its index, and the id of its group ("" at the top).
 * @param {Doc} doc @param {string} id @returns {{siblings: Node[], index: number, group: string}}
 */
export function place(doc, id) {
  const lists = [{ group: "", siblings: doc.layers }];
  for (const node of walk(doc.layers)) if (node.kind === "group") lists.push({ group: node.id, siblings: node.children });
  for (const { group, siblings } of lists) {
    const index = siblings.findIndex((node) => node.id === id);
    if (index >= 0) return { siblings, index, group };
  }
  throw new Error(`no node ${id}`);
}

/** Whether any layer in it is locked. @param {Node} node */
export function locked(node) {
  return layersOf([node]).some((layer) => layer.locked);
}

/** From the raster's pixels to the canvas. @param {Layer} layer @returns {DOMMatrix} */
export function matrix(layer) {
  return new DOMMatrix()
    .translate(layer.x + layer.width / 2, layer.y + layer.height / 2)
    .rotate(layer.angle)
    .scale(layer.scale[0], layer.scale[1])
    .translate(-layer.width / 2, -layer.height / 2);
}

/** The raster's corners on the canvas, clockwise; in 64 bits, where a browser's matrices may have 32.
 * @param {Layer} layer @returns {DOMPoint[]} */
export function corners({ x, y, width, height, scale, angle }) {
  const turn = (angle * Math.PI) / 180;
  const [cos, sin] = angle % 360 ? [Math.cos(turn), Math.sin(turn)] : [1, 0];
  return [[-1, -1], [1, -1], [1, 1], [-1, 1]].map(([a, b]) => {
    const [across, down] = [(a * width * scale[0]) / 2, (b * height * scale[1]) / 2];
    return new DOMPoint(x + width / 2 + across * cos - down * sin, y + height / 2 + across * sin + down * cos);
  });
}

/** Bounds of a node on the canvas. @param {Node} node */
export function bounds(node) {
  const points = layersOf([node]).flatMap(corners);
  const xs = points.map((p) => p.x), ys = points.map((p) => p.y);
  return { left: Math.min(...xs), top: Math.min(...ys), right: Math.max(...xs), bottom: Math.max(...ys) };
}
