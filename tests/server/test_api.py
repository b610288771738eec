"""The rows of the contract's HTTP table, as a program sees them."""

import io
import json
import time
from typing import Any

import numpy as np
import pytest
from PIL import Image
from server_pictures import data_uri, png_bytes

import lamina
from lamina.formats import FOLDER, FORMATS
from lamina.pixels import pixel_sha256


def events_of(text: str) -> list[tuple[str, dict[str, Any]]]:
    blocks = [block.split("\n") for block in text.strip().split("\n\n") if block.startswith("event")]
    return [(event[7:], json.loads(data[6:])) for event, data in blocks]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_becomes_a_document(service: Any, kind: str) -> None:
    files = {"image": ("name.exe", png_bytes(kind=kind), "text/plain")}  # only the content counts
    answer = service.post("/v1/decompositions", files=files, data={"layers": "4", "box": ["1,1,9,9", "2,2,8,8"]})
    assert answer.status_code == 202
    job = answer.json()
    assert job["status"] in ("queued", "running", "done")
    assert answer.headers["location"] == f"/v1/decompositions/{job['id']}"
    told = events_of(service.get(f"/v1/decompositions/{job['id']}/events").text)
    assert {name for name, _ in told[:-1]} <= {"progress"}
    assert told[-1][0] == "done"
    job = service.get(answer.headers["location"]).json()
    assert (job["status"], job["progress"], job["error"]) == ("done", 1.0, None)
    body = service.get(f"/v1/documents/{job['document_id']}").json()
    assert [layer["name"] for layer in body["layers"]] == ["Ground", "Square"]
    pixels = service.get(body["layers"][1]["pixels"])
    assert "immutable" in pixels.headers["cache-control"]
    with Image.open(io.BytesIO(pixels.content)) as image:
        assert pixel_sha256(np.asarray(image)) == body["layers"][1]["sha256"]


def test_json_with_a_data_uri_does_the_same(service: Any) -> None:
    body = {"image": data_uri(png_bytes()), "layers": 9, "box": [[1, 1, 9, 9]], "guidance": 2}
    job = service.post("/v1/decompositions?wait=1", json=body).json()
    assert job["status"] == "done"
    warned = service.get(f"/v1/documents/{job['document_id']}").json()["meta"]["warnings"]
    assert warned == ["layers asked for: 9, found: 2"]


def test_waiting_with_a_format_answers_with_the_file(service: Any, tmp_path: Any) -> None:
    answer = service.post("/v1/decompositions?wait=1&format=psd", files={"image": png_bytes()})
    assert answer.status_code == 200
    path = tmp_path / "a.psd"
    path.write_bytes(answer.content)
    assert [layer.name for layer in lamina.read(path).layers] == ["Ground", "Square"]
    refused = service.post(
        "/v1/decompositions?wait=1&format=psd", files={"image": png_bytes()}, data={"prompt": "refuse"}
    )
    assert (refused.status_code, refused.json()["code"], refused.json()["detail"]) == (422, "bad-input", "not this one")


@pytest.mark.parametrize("kind", sorted(ending.lstrip(".") for ending in FORMATS if ending != FOLDER))
def test_every_format_there_is_can_be_exported(service: Any, document: Any, tmp_path: Any, kind: str) -> None:
    answer = service.get(f"/v1/documents/{document['id']}/export?format={kind}")
    assert answer.status_code == 200
    assert isinstance(json.loads(answer.headers["lamina-lost"]), list)
    assert f".{kind}" in answer.headers["content-disposition"]
    path = tmp_path / f"a.{kind}"
    path.write_bytes(answer.content)
    if kind != "pptx":
        flat = np.asarray(lamina.composite(lamina.read(path)))
        with Image.open(io.BytesIO(png_bytes())) as source:
            assert np.array_equal(flat, np.asarray(source.convert("RGBA")))


def test_edits_make_a_new_document_and_leave_the_old_one(service: Any, document: Any) -> None:
    edits = [
        {"edit": "move", "layer": "square", "dx": 3, "dy": -1},
        {"edit": "recolor", "layer": "square", "color": "#e11d48"},
        {"edit": "replace", "layer": "ground", "image": document["layers"][1]["sha256"], "fit": "stretch"},
        {"edit": "insert", "image": data_uri(png_bytes(5, 5, 3)), "name": "New"},
    ]
    answer = service.post(f"/v1/documents/{document['id']}/edits", json=edits)
    assert answer.status_code == 201
    new = answer.json()
    assert [layer["name"] for layer in new["layers"]] == ["Ground", "Square", "New"]
    assert (new["layers"][1]["x"], new["layers"][1]["y"]) == (11, 5)
    assert new["layers"][1]["sha256"] != document["layers"][1]["sha256"]
    assert service.get(answer.headers["location"]).json() == new
    assert service.get(f"/v1/documents/{document['id']}").json() == document
    again = service.post(f"/v1/documents/{document['id']}/edits", json=edits)
    assert again.json() == new  # the same edit twice: the same document


def test_pixels_of_any_document_can_be_put_into_another(service: Any, document: Any) -> None:
    other = service.post("/v1/decompositions?wait=1", files={"image": png_bytes(seed=5)}).json()["document_id"]
    edit = {"edit": "insert", "image": document["layers"][1]["sha256"]}
    made = service.post(f"/v1/documents/{other}/edits", json=[edit])
    assert made.json()["layers"][-1]["sha256"] == document["layers"][1]["sha256"]


def test_a_layer_is_split_into_a_group(service: Any, document: Any) -> None:
    answer = service.post(f"/v1/documents/{document['id']}/split", json={"layer": "square", "layers": 2})
    assert answer.status_code == 202
    assert answer.json()["kind"] == "split"
    told = events_of(service.get(f"{answer.headers['location']}/events").text)
    new = service.get(f"/v1/documents/{told[-1][1]['document_id']}").json()
    assert [child["id"] for child in new["layers"][1]["children"]] == ["square-1", "square-2"]
    for wrong in ({"layer": "nobody"}, {"layer": "square", "layers": 0}, {"layer": 3}, [], {"layer": "square", "x": 1}):
        refused = service.post(f"/v1/documents/{document['id']}/split", json=wrong)
        assert (refused.status_code, refused.json()["code"]) == (422, "bad-input"), wrong


def test_a_job_that_runs_is_cancelled_at_its_next_step(service: Any) -> None:
    job = service.post("/v1/decompositions", files={"image": png_bytes()}, data={"prompt": "wait"}).json()
    waiting = service.post("/v1/decompositions", files={"image": png_bytes()}).json()
    assert service.delete(f"/v1/decompositions/{waiting['id']}").json()["status"] == "cancelled"
    while service.get(f"/v1/decompositions/{job['id']}").json()["progress"] < 0.5:
        time.sleep(0.01)
    assert service.delete(f"/v1/decompositions/{job['id']}").status_code == 200
    told = events_of(service.get(f"/v1/decompositions/{job['id']}/events").text)
    assert told[-1][0] == "cancelled"
    assert service.delete(f"/v1/decompositions/{job['id']}").json()["status"] == "cancelled"
    done = service.post("/v1/decompositions?wait=1", files={"image": png_bytes()}).json()
    late = service.delete(f"/v1/decompositions/{done['id']}")
    assert (late.status_code, late.json()["code"]) == (409, "conflict")


def test_a_failed_job_says_why(service: Any) -> None:
    for prompt, code, words in (("refuse", "bad-input", "not this one"), ("defect", "defect", "defect of ours")):
        job = service.post("/v1/decompositions?wait=1", files={"image": png_bytes()}, data={"prompt": prompt}).json()
        assert (job["status"], job["error"]["code"]) == ("failed", code)
        assert words in job["error"]["message"]
    cut = png_bytes(64, 64)[:-30]
    job = service.post("/v1/decompositions?wait=1", files={"image": cut}).json()
    assert (job["status"], job["error"]["code"]) == ("failed", "bad-input")
    assert "truncated" in job["error"]["message"]


def test_an_idempotency_key_gives_the_job_of_the_first_call(service: Any) -> None:
    headers = {"idempotency-key": "order 7"}
    first = service.post("/v1/decompositions", files={"image": png_bytes()}, headers=headers).json()
    again = service.post("/v1/decompositions", files={"image": png_bytes()}, headers=headers)
    assert (again.status_code, again.json()["id"]) == (202, first["id"])
    other = service.post("/v1/decompositions", files={"image": png_bytes(seed=2)}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "bad-input")


def test_a_full_queue_says_when_to_come_again(new_service: Any) -> None:
    with new_service(queue=2) as service:
        picture, hang = {"image": png_bytes()}, {"prompt": "wait"}
        headers = {"idempotency-key": "kept"}
        running = service.post("/v1/decompositions", files=picture, data=hang).json()["id"]
        while service.get(f"/v1/decompositions/{running}").json()["status"] != "running":
            time.sleep(0.01)
        taken = [service.post("/v1/decompositions", files=picture, headers=headers).json()["id"]]
        taken.append(service.post("/v1/decompositions", files=picture).json()["id"])
        full = service.post("/v1/decompositions", files=picture)
        assert (full.status_code, full.json()["code"]) == (429, "queue-full")
        assert int(full.headers["retry-after"]) >= 1
        again = service.post("/v1/decompositions", files=picture, headers=headers)
        assert (again.status_code, again.json()["id"]) == (202, taken[0])
        service.delete(f"/v1/decompositions/{running}")
        for job in taken:
            assert events_of(service.get(f"/v1/decompositions/{job}/events").text)[-1][0] == "done"


def test_fal_request_fields_are_taken(service: Any) -> None:
    body = {"image_url": data_uri(png_bytes()), "num_layers": 9, "seed": 5, "prompt": "a", "negative_prompt": "b"}
    answer = service.post("/fal-ai/qwen-image-layered", json={**body, "output_format": "webp"})
    assert answer.status_code == 200
    made = answer.json()
    assert (made["seed"], made["prompt"], len(made["images"])) == (5, "a", 2)
    assert made["warnings"] == ["layers asked for: 9, found: 2", "negative_prompt is not used"]
    layer = service.get(made["images"][1]["url"])
    with Image.open(io.BytesIO(layer.content)) as image:
        assert (image.format, image.size) == ("WEBP", (32, 24))
        assert image.getpixel((0, 0))[3] == 0
        webp = np.asarray(image)
    inline = service.post("/fal-ai/qwen-image-layered", json={**body, "sync_mode": True}).json()["images"][1]["url"]
    assert np.array_equal(webp, lamina.pixels.load_image(lamina.document.images._payload(inline)).rgba)
    for wrong, word in (
        ({"image_url": "https://example.org/a.png"}, "no address is fetched"),
        ({"image_url": body["image_url"], "num_layers": 11}, "num_layers"),
        ({"image_url": body["image_url"], "extra": 1}, "extra"),
        ([], "image_url"),
    ):
        refused = service.post("/fal-ai/qwen-image-layered", json=wrong)
        assert (refused.status_code, word in refused.json()["detail"]) == (422, True), refused.json()


def test_health_and_figures(service: Any, document: Any) -> None:
    assert service.get("/health").json()["status"] == "ok"
    text = service.get("/metrics").text
    assert 'lamina_jobs_ended_total{kind="decompose",status="done"} 1.0' in text
    assert 'lamina_http_seconds_count{method="GET",route="/v1/documents/{id}",status="200"}' in text
    assert "lamina_pixels_bytes" in text
