// @ts-check
// What is open: documents with their histories, which one is shown, what is selected. Kept across reloads.
//
// A history is a list of document names and an index; the service's documents never change, so undo is another name.

import * as api from "./api.js";
import { forget, loadAll } from "./paint.js";
import { find, layersOf } from "./tree.js";

/** @typedef {import("./tree.js").Doc} Doc */
/** @typedef {{title: string, history: string[], index: number}} Open */

const KEY = "lamina.session.1";
const MOST_STEPS = 200;

/** @type {{open: Open[], at: number}} */
let kept = { open: [], at: -1 };

/** @type {{doc: Doc | null, selected: string | null}} */
export const shown = { doc: null, selected: null };

/** @type {Set<() => void>} */
const listeners = new Set();

/** @param {() => void} listener hears of every change */
export function onChange(listener) {
  listeners.add(listener);
}

export function changed() {
  for (const listener of listeners) listener();
}

/** @returns {{titles: string[], at: number, canUndo: boolean, canRedo: boolean}} */
export function state() {
  const open = kept.open[kept.at];
  return {
    titles: kept.open.map((each) => each.title),
    at: kept.at,
    canUndo: !!open && open.index > 0,
    canRedo: !!open && open.index < open.history.length - 1,
  };
}

/** Take up what was open before. */
export async function restore() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "null");
    if (found && Array.isArray(found.open)) kept = found;
  } catch {
    // Nothing that can be read was kept.
  }
  if (kept.open[kept.at]) await show(kept.at);
  else changed();
}

function keep() {
  localStorage.setItem(KEY, JSON.stringify(kept));
}

/** Open a document in a place of its own. @param {string} title @param {string} id */
export async function open(title, id) {
  kept.open.push({ title, history: [id], index: 0 });
  await show(kept.open.length - 1);
}

/** Show an open document. @param {number} at */
export async function show(at) {
  const open = kept.open[at];
  if (!open) return;
  try {
    const doc = await api.getDocument(open.history[open.index]);
    await loadAll(doc);
    kept.at = at;
    set(doc);
    forget(new Set([...layersOf(doc.layers).map((layer) => layer.sha256), doc.source?.sha256 ?? ""]));
  } catch (error) {
    if (error instanceof api.Problem && error.code === "not-found") close(at); // the service keeps it no longer
    throw error;
  }
}

/** Close an open document; the service keeps it. @param {number} at */
export function close(at) {
  kept.open.splice(at, 1);
  kept.at = Math.min(kept.at, kept.open.length - 1);
  shown.doc = null;
  shown.selected = null;
  keep();
  changed();
}

/** @param {Doc} doc */
function set(doc) {
  shown.doc = doc;
  if (shown.selected && !find(doc, shown.selected)) shown.selected = null;
  keep();
  changed();
}

/** @param {string | null} id */
export function select(id) {
  if (shown.selected === id) return;
  shown.selected = id;
  changed();
}

/** The edits of a document are made one after the other. @type {Promise<unknown>} */
let turn = Promise.resolve();

/**
 * Do something that makes a new document of the one shown, after all before it; the new one is then shown.
 * @param {(id: string) => Promise<Doc>} make
 */
export function step(make) {
  const next = turn.then(async () => {
    const open = kept.open[kept.at];
    if (!open) return;
    const before = open.history[open.index];
    const doc = await make(before);
    if (doc.id === before) return;
    await loadAll(doc);
    open.history = [...open.history.slice(0, open.index + 1), doc.id].slice(-MOST_STEPS);
    open.index = open.history.length - 1;
    if (kept.open[kept.at] === open) set(doc);
    else keep();
  });
  turn = next.catch(() => undefined);
  return next;
}

/** @param {object[]} edits */
export function edit(...edits) {
  return step((id) => api.edit(id, edits));
}

/** Undo (-1) or redo (1). @param {number} by */
export function go(by) {
  const next = turn.then(async () => {
    const open = kept.open[kept.at];
    if (!open || !open.history[open.index + by]) return;
    const doc = await api.getDocument(open.history[open.index + by]);
    await loadAll(doc);
    open.index += by;
    set(doc);
  });
  turn = next.catch(() => undefined);
  return next;
}
