// @ts-check
// The editor: puts the canvas, the panel and the session together; pictures in, files out, keys and buttons.

import * as api from "./api.js";
import { mark } from "./regions.js";
import * as panel from "./panel.js";
import * as session from "./session.js";
import * as stage from "./stage.js";
import { find, place } from "./tree.js";

/** @param {string} id @returns {any} */
const element = (id) => document.getElementById(id);

/** @type {number | undefined} */
let hiding;

/** Say something for a while. @param {string} words @param {number} [seconds] */
function say(words, seconds = 8) {
  element("message").textContent = words;
  element("message").hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => (element("message").hidden = true), seconds * 1000);
}

/** @param {unknown} problem */
function tell(problem) {
  if (problem instanceof api.Problem && problem.code === "cancelled") return say("Cancelled.", 3);
  say(problem instanceof Error ? problem.message : String(problem), 12);
}

// Pictures in

/** @type {string | null} */
let running = null;

/** Show a job until it ends. @param {string} words @param {() => Promise<api.Job>} begin @returns {Promise<string>} */
async function work(words, begin) {
  element("work-words").textContent = words;
  element("work-bar").value = 0;
  element("welcome").hidden = true;
  element("work").hidden = false;
  try {
    const job = await begin();
    running = job.id;
    return await api.follow(job.id, (progress) => (element("work-bar").value = progress));
  } finally {
    running = null;
    element("work").hidden = true;
    element("welcome").hidden = session.shown.doc !== null;
  }
}

/** @param {Blob & {name?: string}} picture */
async function take(picture) {
  if (running) return say("One picture at a time, please: this one is still being taken apart.");
  const form = /** @type {[string, string][]} */ ([...new FormData(element("options"))]);
  const options = form.filter(([, value]) => value !== "");
  const name = picture.name?.replace(/\.[^.]*$/, "") || "Pasted picture";
  try {
    if (element("mark").checked) {
      const regions = await mark(picture);
      if (!regions) return;
      options.push(...regions);
    }
    await arrive(name, () => api.decompose(picture, options));
  } catch (problem) {
    tell(problem);
  }
}

const PENDING = "lamina.pending.1"; // the job at work, so that a reload does not lose it

/** Wait for a job's document and open it. @param {string} name @param {() => Promise<api.Job>} begin */
async function arrive(name, begin) {
  try {
    const id = await work(`Taking “${name}” apart…`, async () => {
      const job = await begin();
      localStorage.setItem(PENDING, JSON.stringify({ id: job.id, name }));
      return job;
    });
    await session.open(name, id);
  } finally {
    localStorage.removeItem(PENDING);
  }
  const meta = session.shown.doc?.meta ?? {};
  const words = [...(meta.warnings ?? []), ...(meta.notes ?? []).map((/** @type {string} */ note) => `The picture ${note}.`)];
  if (words.length) say(words.join("\n"), 12);
}

/** What is done with the file that is chosen next. @type {(file: File) => void} */
let chosen = take;

/** @param {(file: File) => void} then */
function choose(then) {
  chosen = then;
  element("file").value = "";
  element("file").click();
}

/** @param {Blob} blob @returns {Promise<string>} */
function dataUri(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(new Error("The file cannot be read."));
    reader.readAsDataURL(blob);
  });
}

element("file").addEventListener("change", () => {
  const [file] = element("file").files;
  if (file) chosen(file);
});
element("choose").addEventListener("click", () => choose(take));
element("open").addEventListener("click", () => {
  if (!session.shown.doc) return choose(take);
  element("welcome").hidden = !element("welcome").hidden; // the options of the next picture
  if (!element("welcome").hidden) element("choose").focus();
});
element("cancel").addEventListener("click", () => running && api.cancel(running).catch(tell));

addEventListener("dragover", (event) => {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  element("stage").classList.add("dropping");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) element("stage").classList.remove("dropping");
});
addEventListener("drop", (event) => {
  element("stage").classList.remove("dropping");
  const file = event.dataTransfer?.files[0];
  if (!file) return;
  event.preventDefault();
  take(file);
});
addEventListener("paste", (event) => {
  const file = [...(event.clipboardData?.files ?? [])].find((each) => each.type.startsWith("image/"));
  if (file) take(file);
});

// The selected layer

/** @param {(id: string) => object | object[] | null | undefined} make */
function change(make) {
  const { doc, selected } = session.shown;
  if (!doc || !selected) return;
  const edits = make(selected);
  if (edits) session.edit(...(Array.isArray(edits) ? edits : [edits])).catch(tell);
}

/** @param {number} by */
function reorder(by) {
  change((id) => {
    const { siblings, index } = place(/** @type {any} */ (session.shown.doc), id);
    const to = index + by;
    return to >= 0 && to < siblings.length ? { edit: "reorder", layer: id, to } : null;
  });
}

/** The selected node and the one below it. @param {string} id */
function pair(id) {
  const { siblings, index } = place(/** @type {any} */ (session.shown.doc), id);
  return index > 0 ? [siblings[index - 1].id, id] : null;
}

function isGroup(/** @type {string} */ id) {
  return find(/** @type {any} */ (session.shown.doc), id)?.kind === "group";
}

const actions = {
  raise: () => reorder(1),
  lower: () => reorder(-1),
  duplicate: () => change((id) => ({ edit: "duplicate", layer: id })),
  delete: () => change((id) => ({ edit: "delete", layer: id })),
  merge: () =>
    change((id) => {
      const layers = isGroup(id) ? [id] : pair(id);
      return layers && { edit: "merge", layers };
    }),
  group: () =>
    change((id) => {
      if (isGroup(id)) return { edit: "regroup", layer: id };
      const layers = pair(id);
      return layers && { edit: "regroup", layers, name: "Group" };
    }),
  replace: () =>
    choose(async (file) => {
      const image = await dataUri(file);
      change((id) => ({ edit: "replace", layer: id, image }));
    }),
  split: () => {
    const { selected } = session.shown;
    if (!selected || running) return;
    session
      .step(async (id) => api.getDocument(await work("Splitting the layer…", () => api.split(id, selected))))
      .catch(tell);
  },
};
for (const [id, run] of Object.entries(actions)) element(id).addEventListener("click", run);

// The document

element("undo").addEventListener("click", () => session.go(-1).catch(tell));
element("redo").addEventListener("click", () => session.go(1).catch(tell));
element("documents").addEventListener("change", () => session.show(Number(element("documents").value)).catch(tell));
element("close").addEventListener("click", () => {
  session.close(session.state().at);
  session.show(session.state().at).catch(tell);
});
element("compare").addEventListener("click", () => {
  stage.comparison.on = !stage.comparison.on;
  element("compare").setAttribute("aria-pressed", String(stage.comparison.on));
  element("divider").hidden = !stage.comparison.on;
  stage.redraw();
});
element("divider").addEventListener("input", () => {
  stage.comparison.share = element("divider").value / 100;
  stage.redraw();
});
element("export").addEventListener("change", async () => {
  const format = element("export").value;
  element("export").value = "";
  if (!session.shown.doc || !format) return;
  try {
    say(`Writing ${format.toUpperCase()}…`, 60);
    const lost = await api.download(session.shown.doc.id, format);
    say([`${format.toUpperCase()} is ready.`, ...lost].join("\n"));
  } catch (problem) {
    tell(problem);
  }
});
element("fidelity").addEventListener("click", () => element("facts").showModal());
element("zoom-in").addEventListener("click", () => stage.setZoom(stage.getZoom() * 1.25));
element("zoom-out").addEventListener("click", () => stage.setZoom(stage.getZoom() / 1.25));
element("zoom-real").addEventListener("click", () => stage.setZoom(1));
element("zoom-fit").addEventListener("click", () => stage.fit());

session.onChange(() => {
  const { titles, at, canUndo, canRedo } = session.state();
  const doc = session.shown.doc;
  element("welcome").hidden = doc !== null || running !== null;
  element("documents").replaceChildren(...titles.map((title, k) => new Option(title, String(k))));
  element("documents").value = String(at);
  element("documents").hidden = titles.length === 0;
  element("close").hidden = doc === null;
  element("undo").disabled = !canUndo;
  element("redo").disabled = !canRedo;
  element("export").disabled = doc === null;
  element("compare").disabled = !doc?.source;
  document.title = doc ? `${titles[at]} – Lamina` : "Lamina";
  showFidelity(doc?.meta);
});

/** @param {any} meta what the document says of its likeness to the picture; edits drop it */
function showFidelity(meta) {
  const fidelity = meta?.fidelity, warnings = meta?.warnings ?? [];
  element("fidelity").hidden = !fidelity && !warnings.length;
  if (element("fidelity").hidden) return;
  const share = fidelity ? `${(Math.floor(fidelity.exact_share * 1000) / 10).toFixed(1)} % exact` : "Warnings";
  element("fidelity").textContent = warnings.length ? `⚠ ${share}` : `✓ ${share}`;
  element("fidelity").classList.toggle("warned", warnings.length > 0);
  const lines = [];
  if (fidelity) {
    lines.push(`${(fidelity.exact_share * 100).toFixed(2)} % of the pixels composite to exactly the picture's.`);
    lines.push(`The largest difference is ${fidelity.max_error} of 255.`);
  }
  const words = [...lines, ...warnings].map((line) => Object.assign(document.createElement("p"), { textContent: line }));
  element("facts-words").replaceChildren(...words);
}

// Keys

const keys = /** @type {Record<string, () => void>} */ ({
  Delete: actions.delete,
  Backspace: actions.delete,
  "]": actions.raise,
  "[": actions.lower,
  "+": () => stage.setZoom(stage.getZoom() * 1.25),
  "=": () => stage.setZoom(stage.getZoom() * 1.25),
  "-": () => stage.setZoom(stage.getZoom() / 1.25),
  "0": () => stage.fit(),
  "1": () => stage.setZoom(1),
  Escape: () => {
    if (!element("welcome").hidden && session.shown.doc) element("welcome").hidden = true;
    else session.select(null);
  },
});
const chords = /** @type {Record<string, () => void>} */ ({
  z: () => session.go(-1).catch(tell),
  Z: () => session.go(1).catch(tell),
  y: () => session.go(1).catch(tell),
  d: actions.duplicate,
  e: actions.merge,
  g: actions.group,
  o: () => choose(take),
});
addEventListener("keydown", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  const typing = target.matches("input:not([type=range]), select, textarea") || document.querySelector("dialog[open]");
  if (typing || event.altKey) return;
  const run = event.ctrlKey || event.metaKey ? chords[event.key] : keys[event.key];
  if (!run || (!session.shown.doc && event.key !== "o")) return;
  event.preventDefault();
  run();
});

// Begin

api.onTokenNeeded(
  () =>
    new Promise((resolve) => {
      const dialog = element("token-dialog");
      dialog.addEventListener("close", () => resolve(element("token").value), { once: true });
      if (!dialog.open) dialog.showModal();
    }),
);
stage.start(tell);
panel.start(tell);
try {
  const page = await api.description();
  const options = page.paths["/v1/decompositions"].post.requestBody.content["application/json"].schema.properties;
  const most = 20;
  element("layers").append(...["auto", ...Array.from({ length: most }, (_, k) => String(k + 1))].map((v) => new Option(v, v)));
  element("detail").append(...(options.detail?.enum ?? []).map((/** @type {string} */ v) => new Option(v, v, v === options.detail.default, v === options.detail.default)));
  element("detail").parentElement.hidden = !options.detail;
  const formats = page.paths["/v1/documents/{id}/export"].get.parameters.find((/** @type {any} */ p) => p.name === "format");
  element("export").append(...formats.schema.enum.map((/** @type {string} */ v) => new Option(v.toUpperCase(), v)));
  panel.setBlends(page.components.schemas.BlendMode.enum);
  element("split").hidden = !page.paths["/v1/documents/{id}/split"];
  await session.restore();
  const pending = JSON.parse(localStorage.getItem(PENDING) ?? "null");
  if (pending) arrive(String(pending.name), () => api.getJob(String(pending.id))).catch(tell);
} catch (problem) {
  tell(problem);
}
document.documentElement.dataset.ready = "yes";
