// @ts-check
// Before a picture is sent: boxes and points on it, each of which becomes a layer of its own.

/** @typedef {{kind: "box" | "point", numbers: number[]}} Region */

/** @param {string} id @returns {any} */
const element = (id) => document.getElementById(id);

const LEAST = 4; // picture pixels; what is smaller is a click, and means a point

/**
 * Let a person mark regions of a picture.
 * @param {Blob} picture
 * @returns {Promise<[string, string][] | null>} form fields of the regions, or null when they went back
 */
export async function mark(picture) {
  const bitmap = await createImageBitmap(picture).catch(() => {
    throw new Error("The picture cannot be shown. PNG, JPEG and WebP pictures can.");
  });
  /** @type {Region[]} */
  const regions = [];
  const canvas = /** @type {HTMLCanvasElement} */ (element("regions-view"));
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  [canvas.width, canvas.height] = [bitmap.width, bitmap.height];

  /** @param {Region | null} [pending] */
  function draw(pending = null) {
    pen.drawImage(bitmap, 0, 0);
    const unit = Math.max(bitmap.width, bitmap.height) / 300;
    for (const { kind, numbers } of pending ? [...regions, pending] : regions) {
      pen.lineWidth = unit;
      pen.strokeStyle = "#4f46e5";
      pen.fillStyle = "rgb(79 70 229 / .25)";
      pen.beginPath();
      if (kind === "box") pen.rect(numbers[0], numbers[1], numbers[2] - numbers[0], numbers[3] - numbers[1]);
      else pen.arc(numbers[0], numbers[1], unit * 4, 0, 7);
      pen.fill();
      pen.stroke();
    }
    element("regions-list").replaceChildren(
      ...regions.map((region, k) => {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = `${region.kind} ${region.numbers.join(",")} ✕`;
        button.setAttribute("aria-label", `Remove ${region.kind} ${region.numbers.join(", ")}`);
        button.addEventListener("click", () => {
          regions.splice(k, 1);
          draw();
        });
        return button;
      }),
    );
  }

  /** @param {PointerEvent} event */
  function at(event) {
    const share = bitmap.width / canvas.clientWidth;
    const inside = (/** @type {number} */ v, /** @type {number} */ most) => Math.min(Math.max(Math.round(v), 0), most);
    return [inside(event.offsetX * share, bitmap.width), inside(event.offsetY * share, bitmap.height)];
  }

  /** @param {number[]} a @param {number[]} b @returns {Region} */
  function between(a, b) {
    const [left, right] = [a[0], b[0]].sort((p, q) => p - q), [top, bottom] = [a[1], b[1]].sort((p, q) => p - q);
    if (right - left >= LEAST && bottom - top >= LEAST) return { kind: "box", numbers: [left, top, right, bottom] };
    return { kind: "point", numbers: [Math.min(a[0], bitmap.width - 1), Math.min(a[1], bitmap.height - 1)] };
  }

  canvas.onpointerdown = (down) => {
    canvas.setPointerCapture(down.pointerId);
    const from = at(down);
    canvas.onpointermove = (move) => draw(between(from, at(move)));
    canvas.onpointerup = (up) => {
      canvas.onpointermove = canvas.onpointerup = null;
      regions.push(between(from, at(up)));
      draw();
    };
  };
  element("regions-add").onclick = () => {
    const numbers = String(element("regions-numbers").value).split(/[\s,]+/).filter(Boolean).map(Number);
    if (![2, 4].includes(numbers.length) || !numbers.every(Number.isInteger)) return element("regions-numbers").focus();
    regions.push({ kind: numbers.length === 4 ? "box" : "point", numbers });
    element("regions-numbers").value = "";
    draw();
  };

  draw();
  const dialog = /** @type {HTMLDialogElement} */ (element("regions"));
  dialog.returnValue = "";
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  bitmap.close();
  if (dialog.returnValue !== "go") return null;
  return regions.map(({ kind, numbers }) => [kind, numbers.join(",")]);
}
