// @ts-check
// A node that is dragged: its own numbers follow the pointer, by the same arithmetic as the service's edits.
//
// Edges and middles catch at those of the canvas and of the other layers that are seen. Knows nothing of painting.

import { bounds, layersOf } from "./tree.js";

/** @typedef {import("./tree.js").Node} Node */
/** @typedef {import("./tree.js").Layer} Layer */
/** @typedef {import("./tree.js").Doc} Doc */
/** @typedef {{x: number, y: number}} Point */
/** @typedef {"move" | "resize" | "rotate" | "pan"} Kind */

/**
 * `axes`: along which a resize goes (a corner both, a side one); `factors`: along the node's own axes;
 * `caught`: the lines at which it is held now.
 * @typedef {{kind: Kind, axes: "both" | "x" | "y", node: Node, from: Point, middle: Point, box: ReturnType<typeof bounds>,
 *    before: Map<Layer, Layer>, lines: {x: number[], y: number[]}, caught: {x: number | null, y: number | null},
 *    dx: number, dy: number, factors: [number, number], turn: number}} Drag */

const LEAST = 0.01;

/** @param {Kind} kind @param {Drag["axes"]} axes @param {Doc} doc @param {Node} node @param {Point} from @returns {Drag} */
export function begin(kind, axes, doc, node, from) {
  const box = bounds(node);
  const before = new Map(layersOf([node]).map((layer) => [layer, { ...layer, scale: pair(layer.scale[0], layer.scale[1]) }]));
  const lines = { x: [0, doc.width / 2, doc.width], y: [0, doc.height / 2, doc.height] };
  for (const other of seen(doc.layers)) {
    if (before.has(other)) continue;
    const { left, top, right, bottom } = bounds(other);
    lines.x.push(left, (left + right) / 2, right);
    lines.y.push(top, (top + bottom) / 2, bottom);
  }
  const middle = { x: (box.left + box.right) / 2, y: (box.top + box.bottom) / 2 };
  const still = { caught: { x: null, y: null }, dx: 0, dy: 0, factors: pair(1, 1), turn: 0 };
  return { kind, axes, node, from, middle, box, before, lines, ...still };
}

/** Whether it can be resized along one axis alone: a group whose layers stand askew would be sheared. @param {Node} node */
export function stretches(node) {
  return node.kind === "layer" || layersOf([node]).every((layer) => layer.angle % 90 === 0);
}

/**
 * Let the node's numbers follow the pointer. `free` is another way of doing it: a move or a side that is not held, any
 * angle, a corner whose axes go apart. `near` is how close a line catches.
 * @param {Drag} drag @param {Point} to @param {boolean} free @param {number} near
 */
export function follow(drag, to, free, near) {
  drag.caught = { x: null, y: null };
  if (drag.kind === "move") move(drag, to, free ? -1 : near);
  else if (drag.kind === "resize") resize(drag, to, free, near);
  else {
    const angle = (/** @type {Point} */ p) => (Math.atan2(p.y - drag.middle.y, p.x - drag.middle.x) * 180) / Math.PI;
    const turn = angle(to) - angle(drag.from);
    drag.turn = free ? turn : Math.round(turn / 5) * 5;
  }
  const { middle, factors: [fx, fy] } = drag;
  for (const [layer, old] of drag.before) {
    const centre = { x: old.x + old.width / 2 - middle.x, y: old.y + old.height / 2 - middle.y };
    const place = turned(drag.node.kind === "group" ? { x: centre.x * fx, y: centre.y * fy } : centre, drag.turn);
    const across = drag.node.kind === "group" && old.angle % 180 !== 0;
    layer.x = drag.kind === "move" ? old.x + drag.dx : place.x + middle.x - old.width / 2;
    layer.y = drag.kind === "move" ? old.y + drag.dy : place.y + middle.y - old.height / 2;
    layer.scale = [old.scale[0] * (across ? fy : fx), old.scale[1] * (across ? fx : fy)];
    layer.angle = old.angle + drag.turn;
  }
}

/** The edit that the service is asked for; null where nothing was done. @param {Drag} drag */
export function editOf({ kind, node, dx, dy, factors: [fx, fy], turn }) {
  const layer = node.id;
  if (kind === "move" && (dx || dy)) return { edit: "move", layer, dx, dy };
  if (kind === "resize" && (fx !== 1 || fy !== 1)) return { edit: "resize", layer, scale: fx === fy ? fx : [fx, fy] };
  if (kind === "rotate" && turn) return { edit: "rotate", layer, degrees: turn };
  return null;
}

/** Take back what was followed. @param {Drag} drag */
export function undo(drag) {
  for (const [layer, old] of drag.before) Object.assign(layer, old);
}

/** @param {Drag} drag @param {Point} to @param {number} near */
function move(drag, to, near) {
  const { box, middle, lines, from } = drag;
  const [dx, dy] = [Math.round(to.x - from.x), Math.round(to.y - from.y)];
  const x = nearest([box.left, middle.x, box.right].map((place) => place + dx), lines.x, near);
  const y = nearest([box.top, middle.y, box.bottom].map((place) => place + dy), lines.y, near);
  drag.dx = dx + Math.round(x?.gap ?? 0); // by whole pixels, so that they stay sharp
  drag.dy = dy + Math.round(y?.gap ?? 0);
  drag.caught = { x: x?.line ?? null, y: y?.line ?? null };
}

/** @param {Drag} drag @param {Point} to @param {boolean} free @param {number} near */
function resize(drag, to, free, near) {
  const { node, middle } = drag;
  const own = node.kind === "layer" ? node.angle : 0;
  const a = turned({ x: drag.from.x - middle.x, y: drag.from.y - middle.y }, -own);
  const b = turned({ x: to.x - middle.x, y: to.y - middle.y }, -own);
  const apart = pair(Math.max(b.x / (a.x || 1), LEAST), Math.max(b.y / (a.y || 1), LEAST));
  if (drag.axes === "both") {
    const factor = Math.max(Math.hypot(b.x, b.y) / (Math.hypot(a.x, a.y) || 1), LEAST);
    drag.factors = free && stretches(node) ? apart : pair(factor, factor);
    return;
  }
  const k = drag.axes === "x" ? 0 : 1;
  drag.factors = pair(1, 1);
  drag.factors[k] = apart[k];
  if (free || own % 360 !== 0) return;
  const half = (k ? drag.box.bottom - drag.box.top : drag.box.right - drag.box.left) / 2;
  const side = middle[drag.axes] + Math.sign(a[drag.axes]) * half * apart[k];
  const found = nearest([side], drag.lines[drag.axes], near);
  const factor = found ? Math.abs(found.line - middle[drag.axes]) / half : 0;
  if (!found || !(factor >= LEAST)) return;
  drag.factors[k] = factor;
  drag.caught[drag.axes] = found.line;
}

/** The line closest to any of the places, if it is near enough. @param {number[]} places @param {number[]} lines @param {number} near */
function nearest(places, lines, near) {
  /** @type {{line: number, gap: number} | null} */
  let best = null;
  for (const place of places)
    for (const line of lines) {
      const gap = line - place;
      if (Math.abs(gap) <= near && (!best || Math.abs(gap) < Math.abs(best.gap))) best = { line, gap };
    }
  return best;
}

/** The layers that are seen. @param {Node[]} nodes @returns {Generator<Layer>} */
function* seen(nodes) {
  for (const node of nodes) {
    if (!node.visible || node.opacity === 0) continue;
    if (node.kind === "group") yield* seen(node.children);
    else yield node;
  }
}

/** @param {Point} point @param {number} degrees clockwise @returns {Point} */
function turned({ x, y }, degrees) {
  const turn = (degrees * Math.PI) / 180;
  return { x: x * Math.cos(turn) - y * Math.sin(turn), y: x * Math.sin(turn) + y * Math.cos(turn) };
}

/** @param {number} x @param {number} y @returns {[number, number]} */
function pair(x, y) {
  return [x, y];
}
