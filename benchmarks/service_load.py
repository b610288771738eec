"""A service under load, on loopback: many uploads at once, then what its calls cost that need no model.

    python benchmarks/service_load.py                             200 uploads of 1 megapixel, a decomposer that copies
    python benchmarks/service_load.py --model small --uploads 20

Every upload must be answered 202 or 429, and every 202 must end as done; the rest is measured: requests a second,
p50 and p95 of calls on documents, the time of an export, and the memory of the service's process. One JSON object on
stdout. The service runs in a process of its own and is ended afterwards.
"""

import argparse
import asyncio
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
from PIL import Image

LAYERS = 8


def copying(picture: Any, options: Any, on_step: Callable[[int, int], None]) -> Any:
    """A stand-in for a model: the picture, and parts of it as further layers."""
    from lamina.document.document import Document
    from lamina.document.layer import Layer

    layers = [Layer(id="ground", name="Ground", rgba=picture.rgba)]
    height, width = picture.rgba.shape[:2]
    for k in range(1, LAYERS):
        on_step(k, LAYERS)
        top, left = height * k // (2 * LAYERS), width * k // (2 * LAYERS)
        rgba = picture.rgba[top : top + height // 2, left : left + width // 2].copy()
        layers.append(Layer(id=f"part-{k}", name=f"Part {k}", rgba=rgba, x=left, y=top))
    return Document(width=width, height=height, layers=tuple(layers), source=picture.rgba)


def serve(home: str, port: str, model: str) -> None:
    """The service's own process; at its end it tells its peak of memory."""
    import uvicorn

    from lamina.server.app import create_app
    from lamina.server.settings import Settings

    decompose: Any = copying
    if model != "copying":
        import lamina

        decompose = lamina.Decomposer.load(model, device="cpu")
    app = create_app(decompose, settings=Settings(home=Path(home)))
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="error", timeout_keep_alive=75)


def peak_megabytes(pid: int) -> float:
    """Peak of resident memory, from the system (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return round(int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024, 1)


def picture(seed: int, width: int, height: int) -> bytes:
    """A JPEG with large shapes and some noise."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    pixels = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)).astype(np.int16)
    noisy = np.clip(pixels + random.integers(-8, 9, pixels.shape), 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noisy).save(stream, "JPEG", quality=90)
    return stream.getvalue()


async def upload(client: httpx.AsyncClient, data: bytes) -> tuple[int, str, float]:
    """Status, job and seconds of one upload."""
    start = time.perf_counter()
    answer = await client.post("/v1/decompositions", files={"image": data})
    return answer.status_code, answer.json().get("id", ""), time.perf_counter() - start


async def ended(client: httpx.AsyncClient, job: str) -> dict[str, Any]:
    while True:
        state = (await client.get(f"/v1/decompositions/{job}")).json()
        if state["status"] not in ("queued", "running"):
            return state
        await asyncio.sleep(0.2)


async def timed(count: int, side_by_side: int, call: Callable[[int], Awaitable[httpx.Response]]) -> dict[str, float]:
    """p50 and p95 in ms, and calls a second, of `count` calls, so many at a time."""
    gate, times = asyncio.Semaphore(side_by_side), list[float]()

    async def one(k: int) -> None:
        async with gate:
            start = time.perf_counter()
            (await call(k)).raise_for_status()
            times.append(time.perf_counter() - start)

    start = time.perf_counter()
    await asyncio.gather(*(one(k) for k in range(count)))
    rate = count / (time.perf_counter() - start)
    p50, p95 = np.percentile(times, [50, 95]) * 1000
    return {"p50_ms": round(p50, 1), "p95_ms": round(p95, 1), "per_second": round(rate, 1)}


async def measure(url: str, pid: int, uploads: int, side: tuple[int, int]) -> dict[str, Any]:
    limits = httpx.Limits(max_connections=uploads, max_keepalive_connections=uploads)
    pictures = [picture(k % 10, *side) for k in range(uploads)]
    async with httpx.AsyncClient(base_url=url, timeout=600, limits=limits) as client:
        idle = peak_megabytes(pid)
        start = time.perf_counter()
        answers = await asyncio.gather(*(upload(client, data) for data in pictures))
        answered = time.perf_counter() - start
        statuses = Counter(status for status, _, _ in answers)
        jobs = [job for status, job, _ in answers if status == 202]
        states = await asyncio.gather(*(ended(client, job) for job in jobs))
        seconds = time.perf_counter() - start
        result: dict[str, Any] = {
            "uploads": uploads,
            "bytes_each": len(pictures[0]),
            "statuses": dict(statuses),
            "ended": dict(Counter(state["status"] for state in states)),
            "upload_p95_s": round(float(np.percentile([s for _, _, s in answers], 95)), 2),
            "all_answered_s": round(answered, 2),
            "uploads_per_second": round(uploads / answered, 1),
            "all_ended_s": round(seconds, 2),
            "peak_mb": {"before": idle, "after": peak_megabytes(pid)},
        }
        assert set(statuses) <= {202, 429}, statuses
        assert all(state["status"] == "done" for state in states), states
        names = [state["document_id"] for state in states]
        layer = (await client.get(f"/v1/documents/{names[0]}")).json()["layers"][-1]["id"]

        def look(k: int) -> Awaitable[httpx.Response]:
            return client.get(f"/v1/documents/{names[k % len(names)]}")

        def move(k: int) -> Awaitable[httpx.Response]:
            edit = {"edit": "move", "layer": layer, "dx": k + 1, "dy": 1}
            return client.post(f"/v1/documents/{names[0]}/edits", json=[edit])

        result["document"] = await timed(200, 1, look)
        result["document, 8 at once"] = await timed(200, 8, look)
        result["edit"] = await timed(100, 1, move)
        result["edit, 8 at once"] = await timed(100, 8, move)
        large = await client.post("/v1/decompositions?wait=1", files={"image": picture(1, 2000, 2000)})
        name = large.json()["document_id"]
        count = len((await client.get(f"/v1/documents/{name}")).json()["layers"])
        exports: dict[str, float] = {}
        for kind in ("png", "psd", "ora", "zip"):
            start = time.perf_counter()
            (await client.get(f"/v1/documents/{name}/export?format={kind}")).raise_for_status()
            exports[kind] = round(time.perf_counter() - start, 2)
        result[f"export_s, 2000x2000, {count} layers"] = exports
        result["peak_mb"]["end"] = peak_megabytes(pid)
        return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="copying", help="copying, or a checkpoint of Lamina")
    parser.add_argument("--uploads", type=int, default=200)
    parser.add_argument("--size", type=int, nargs=2, default=(1152, 868), metavar=("W", "H"))
    parser.add_argument("--port", type=int, default=7869)
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(*args.serve)
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4096), hard), hard))
    with tempfile.TemporaryDirectory() as home:
        words = [sys.executable, __file__, "--serve", home, str(args.port), args.model]
        process = subprocess.Popen(words)
        try:
            url = f"http://127.0.0.1:{args.port}"
            while True:
                try:
                    httpx.get(f"{url}/health")
                    break
                except httpx.TransportError:
                    if process.poll() is not None:
                        raise SystemExit("the service did not start") from None
                    time.sleep(0.1)
            result = asyncio.run(measure(url, process.pid, args.uploads, tuple(args.size)))
        finally:
            process.terminate()
            process.wait()
    print(json.dumps({"model": args.model, **result}, indent=1))


if __name__ == "__main__":
    main()
