// @ts-check
// The layers panel: rows, top first, and the properties of the selected one.

import { bitmap } from "./paint.js";
import * as session from "./session.js";
import { find, layersOf, locked, place } from "./tree.js";

/** @typedef {import("./tree.js").Node} Node */
/** @typedef {import("./tree.js").Doc} Doc */

const THUMB = 38;
const list = /** @type {HTMLUListElement} */ (document.getElementById("layer-list"));

/** @type {(problem: unknown) => void} */
let tell = console.error;

/** @param {string} id @returns {any} */
const element = (id) => document.getElementById(id);

/** @param {(problem: unknown) => void} onProblem */
export function start(onProblem) {
  tell = onProblem;
  session.onChange(render);
  list.addEventListener("keydown", walkRows);
  const commit = (/** @type {string} */ id, /** @type {(value: string, node: Node) => object | null} */ make) =>
    element(id).addEventListener("change", (/** @type {any} */ event) => {
      const node = chosen();
      const edit = node && make(event.target.value, node);
      if (edit) session.edit(edit).catch(failed);
    });
  commit("name", (name, node) => (name && name !== node.name ? { edit: "rename", layer: node.id, name } : null));
  commit("opacity", (value, node) => ({ edit: "set-opacity", layer: node.id, opacity: Number(value) / 100 }));
  commit("blend", (blend, node) => ({ edit: "set-blend", layer: node.id, blend }));
  commit("color", (color, node) => ({ edit: "recolor", layer: node.id, color }));
  element("opacity").addEventListener("input", () => (element("opacity-shown").value = `${element("opacity").value} %`));
}

function failed(/** @type {unknown} */ problem) {
  render(); // back to what is so
  tell(problem);
}

function chosen() {
  const { doc, selected } = session.shown;
  return doc && selected ? (find(doc, selected) ?? null) : null;
}

/** @param {string[]} blends */
export function setBlends(blends) {
  element("blend").replaceChildren(...blends.map((name) => new Option(name.replace("-", " "), name)));
}

function render() {
  const doc = session.shown.doc;
  const focused = list.contains(document.activeElement) ? document.activeElement?.closest("li")?.dataset.id : undefined;
  list.replaceChildren(...(doc ? rows(doc, doc.layers) : []));
  if (focused && session.shown.selected) row(session.shown.selected)?.focus();
  const node = chosen();
  element("properties").hidden = !node;
  if (!doc || !node) return;
  const { siblings, index } = place(doc, node.id);
  const frozen = locked(node);
  element("name").value = node.name;
  element("opacity").value = Math.round(node.opacity * 100);
  element("opacity-shown").value = `${Math.round(node.opacity * 100)} %`;
  if (node.kind === "layer") element("blend").value = node.blend;
  element("blend").disabled = frozen || node.kind === "group";
  for (const id of ["name", "opacity", "color", "duplicate", "delete"]) element(id).disabled = frozen;
  element("replace").disabled = element("split").disabled = frozen || node.kind === "group";
  element("raise").disabled = frozen || index === siblings.length - 1;
  element("lower").disabled = frozen || index === 0;
  element("merge").disabled = frozen || (index === 0 && node.kind === "layer");
  element("merge").textContent = node.kind === "group" ? "Merge group" : "Merge down";
  element("group").textContent = node.kind === "group" ? "Ungroup" : "Group with below";
  element("group").disabled = frozen || (index === 0 && node.kind === "layer");
}

/** @param {Doc} doc @param {Node[]} nodes @returns {HTMLLIElement[]} */
function rows(doc, nodes) {
  return [...nodes].reverse().map((node) => {
    const item = document.createElement("li");
    item.dataset.id = node.id;
    item.setAttribute("role", "option");
    item.setAttribute("aria-selected", String(node.id === session.shown.selected));
    item.setAttribute("aria-label", label(node));
    item.tabIndex = node.id === session.shown.selected || (!session.shown.selected && node === doc.layers.at(-1)) ? 0 : -1;
    const line = document.createElement("div");
    line.className = node.visible ? "row" : "row off";
    line.draggable = !locked(node);
    line.append(thumbnail(node), title(node), ...switches(node));
    line.addEventListener("click", () => {
      session.select(node.id);
      row(node.id)?.focus();
    });
    dragging(line, doc, node);
    item.append(line);
    if (node.kind === "group") {
      const inner = document.createElement("ul");
      inner.setAttribute("role", "group");
      inner.append(...rows(doc, node.children));
      item.append(inner);
    }
    return item;
  });
}

function label(/** @type {Node} */ node) {
  const words = [node.name, node.kind === "group" ? `group of ${node.children.length}` : node.blend];
  if (!node.visible) words.push("hidden");
  if (locked(node)) words.push("locked");
  return words.join(", ");
}

function title(/** @type {Node} */ node) {
  const text = document.createElement("span");
  text.className = "title";
  text.textContent = node.kind === "group" ? `▾ ${node.name}` : node.name;
  text.title = node.name;
  return text;
}

function thumbnail(/** @type {Node} */ node) {
  const sheet = document.createElement("canvas");
  sheet.className = "thumb";
  sheet.setAttribute("aria-hidden", "true");
  sheet.width = sheet.height = THUMB * 2;
  const layer = layersOf([node]).at(-1);
  const picture = layer && bitmap(layer.sha256);
  if (layer && picture) {
    const share = (THUMB * 2) / Math.max(layer.width, layer.height);
    const [w, h] = [layer.width * share, layer.height * share];
    const pen = /** @type {CanvasRenderingContext2D} */ (sheet.getContext("2d"));
    pen.imageSmoothingQuality = "high";
    pen.drawImage(picture, (THUMB * 2 - w) / 2, (THUMB * 2 - h) / 2, w, h);
  }
  return sheet;
}

const PATHS = /** @type {Record<string, string>} */ ({
  eye: "M1 8s2.500-4.500 7-4.500S15 8 15 8s-2.500 4.500-7 4.500S1 8 1 8zM8 6a2 2 0 1 1 0 4 2 2 0 0 1 0-4z",
  closed: "M1 7c1.500 2.500 4 4 7 4s5.500-1.500 7-4M3 9.500 1.500 11.500M8 11v2.500M13 9.500l1.500 2",
  locked: "M3 7h10v7H3zM5 7V4.500a3 3 0 0 1 6 0V7",
  open: "M3 7h10v7H3zM5 7V4.500a3 3 0 0 1 5.500-1.600",
});

function icon(/** @type {string} */ name) {
  const space = "http://www.w3.org/2000/svg";
  const drawing = document.createElementNS(space, "svg"), path = document.createElementNS(space, "path");
  drawing.setAttribute("viewBox", "0 0 16 16");
  drawing.setAttribute("class", `icon ${name}`);
  drawing.setAttribute("aria-hidden", "true");
  path.setAttribute("d", PATHS[name]);
  drawing.append(path);
  return drawing;
}

function switches(/** @type {Node} */ node) {
  const make = (/** @type {string} */ words, /** @type {string} */ sign, /** @type {boolean} */ on, /** @type {object} */ edit) => {
    const button = document.createElement("button");
    button.append(icon(sign));
    button.title = words;
    button.setAttribute("aria-label", `${words} ${node.name}`);
    button.setAttribute("aria-pressed", String(on));
    button.tabIndex = -1;
    button.addEventListener("click", (event) => {
      event.stopPropagation();
      session.edit(edit).catch(failed);
    });
    return button;
  };
  const frozen = locked(node);
  return [
    make(node.visible ? "Hide" : "Show", node.visible ? "eye" : "closed", node.visible, { edit: "set-visible", layer: node.id, visible: !node.visible }),
    make(frozen ? "Unlock" : "Lock", frozen ? "locked" : "open", frozen, { edit: "set-locked", layer: node.id, locked: !frozen }),
  ];
}

/** A row that is let go over another comes to lie above it. */
function dragging(/** @type {HTMLElement} */ line, /** @type {Doc} */ doc, /** @type {Node} */ node) {
  line.addEventListener("dragstart", (event) => event.dataTransfer?.setData("application/x-lamina-layer", node.id));
  line.addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("application/x-lamina-layer")) return;
    event.preventDefault();
    line.classList.add("above");
  });
  line.addEventListener("dragleave", () => line.classList.remove("above"));
  line.addEventListener("drop", (event) => {
    const moved = event.dataTransfer?.getData("application/x-lamina-layer");
    line.classList.remove("above");
    if (!moved || moved === node.id) return;
    event.preventDefault();
    event.stopPropagation();
    const from = place(doc, moved), to = place(doc, node.id);
    const index = from.siblings === to.siblings && from.index < to.index ? to.index : to.index + 1;
    session.edit({ edit: "reorder", layer: moved, to: index, group: to.group }).catch(failed);
  });
}

/** @param {string} id @returns {HTMLElement | null} */
function row(id) {
  return list.querySelector(`[data-id="${CSS.escape(id)}"]`);
}

function walkRows(/** @type {KeyboardEvent} */ event) {
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const items = /** @type {HTMLElement[]} */ ([...list.querySelectorAll("li")]);
  const at = items.findIndex((item) => item.dataset.id === session.shown.selected);
  if (by) {
    const next = items[Math.min(Math.max(at + by, 0), items.length - 1)];
    if (next?.dataset.id) session.select(next.dataset.id);
  } else if (event.key === " " && at >= 0) {
    const node = chosen();
    if (node) session.edit({ edit: "set-visible", layer: node.id, visible: !node.visible }).catch(failed);
  } else return;
  event.preventDefault();
  if (session.shown.selected) row(session.shown.selected)?.focus();
}
