// @ts-check
// Calls of the service: JSON in and out, problems as errors, the token exchanged once for a cookie.

/** @typedef {{id: string, kind: "decompose" | "split", status: string, progress: number, document_id: string | null,
 *    error: {code: string, message: string} | null}} Job */

/** An answer that is no success, in the service's own words. */
export class Problem extends Error {
  /** @param {string} code @param {string} detail */
  constructor(code, detail) {
    super(detail);
    this.code = code;
  }
}

/** @type {() => Promise<string>} */
let askToken = async () => "";

/** @param {() => Promise<string>} ask what asks a person for the token */
export function onTokenNeeded(ask) {
  askToken = ask;
}

/**
 * One call; asks for the token when the service wants one, and tries again.
 * @param {string} method @param {string} path @param {BodyInit | object | null} [body]
 * @returns {Promise<Response>}
 */
export async function call(method, path, body = null) {
  const plain = body === null || body instanceof FormData;
  /** @type {RequestInit} */
  const request = { method, credentials: "same-origin", body: plain ? /** @type {any} */ (body) : JSON.stringify(body) };
  if (!plain) request.headers = { "content-type": "application/json" };
  const answer = await fetch(path, request).catch(() => {
    throw new Problem("unreachable", "The service does not answer. Is it still running?");
  });
  if (answer.ok) return answer;
  if (answer.status === 401) {
    const token = await askToken();
    const session = await fetch("/v1/session", { method: "POST", headers: { authorization: `Bearer ${token}` } });
    if (session.ok) return call(method, path, body);
    return call(method, path, body); // asks again
  }
  const problem = await answer.json().catch(() => ({ code: "unknown", detail: `The service answered ${answer.status}.` }));
  throw new Problem(problem.code, problem.detail);
}

/** @param {string} id @returns {Promise<any>} */
export async function getDocument(id) {
  return (await call("GET", `/v1/documents/${id}`)).json();
}

/** @param {string} id @param {object[]} edits @returns {Promise<any>} the new document */
export async function edit(id, edits) {
  return (await call("POST", `/v1/documents/${id}/edits`, edits)).json();
}

/** @param {Blob} picture @param {[string, string][]} options form fields @returns {Promise<Job>} */
export async function decompose(picture, options) {
  const form = new FormData();
  for (const [name, value] of options) form.append(name, value);
  form.append("image", picture, "picture");
  return (await call("POST", "/v1/decompositions", form)).json();
}

/** @param {string} id @param {string} layer @returns {Promise<Job>} */
export async function split(id, layer) {
  return (await call("POST", `/v1/documents/${id}/split`, { layer })).json();
}

/** @param {string} job */
export async function cancel(job) {
  await call("DELETE", `/v1/decompositions/${job}`);
}

/**
 * Follow a job to its end; rejects with a Problem when it failed or was cancelled.
 * @param {string} job @param {(progress: number) => void} onProgress @returns {Promise<string>} its document
 */
export function follow(job, onProgress) {
  return new Promise((resolve, reject) => {
    const events = new EventSource(`/v1/decompositions/${job}/events`);
    const end = (/** @type {() => void} */ then) => {
      events.close();
      then();
    };
    events.addEventListener("progress", (event) => onProgress(JSON.parse(event.data).progress));
    events.addEventListener("done", (event) => end(() => resolve(JSON.parse(event.data).document_id)));
    events.addEventListener("cancelled", () => end(() => reject(new Problem("cancelled", "Cancelled."))));
    events.addEventListener("failed", (event) => {
      const { code, message } = JSON.parse(event.data).error;
      end(() => reject(new Problem(code, message)));
    });
    events.addEventListener("error", () => {
      // The browser comes again by itself, and the job goes on; where it has given up, we look.
      if (events.readyState !== EventSource.CLOSED) return;
      end(() =>
        setTimeout(
          () =>
            getJob(job).then((found) => {
              if (found.status === "failed") reject(new Problem(found.error?.code ?? "", found.error?.message ?? ""));
              else follow(job, onProgress).then(resolve, reject);
            }, reject),
          1000,
        ),
      );
    });
  });
}

/** @param {string} job @returns {Promise<Job>} */
export async function getJob(job) {
  return (await call("GET", `/v1/decompositions/${job}`)).json();
}

/** What the service can do: its export formats and the values of the options. @returns {Promise<any>} */
export async function description() {
  return (await call("GET", "/openapi.json")).json();
}

/** @param {string} id @param {string} format @returns {Promise<string[]>} what the file could not keep */
export async function download(id, format) {
  const answer = await call("GET", `/v1/documents/${id}/export?format=${format}`);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = /filename="([^"]+)"/.exec(answer.headers.get("content-disposition") ?? "")?.[1] ?? `lamina.${format}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  return JSON.parse(answer.headers.get("lamina-lost") ?? "[]");
}
