"""The OpenAPI page is complete, and the service keeps to it whatever it is sent."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fake_decomposer import FakeDecomposer
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from server_pictures import png_bytes
from starlette.testclient import TestClient

from lamina.options import DecomposeOptions
from lamina.server.app import create_app
from lamina.server.settings import Settings

CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    fake = FakeDecomposer()
    home: Path = tmp_path_factory.mktemp("home")
    app = create_app(fake, settings=Settings(home=home, hosts=(), wait_seconds=30), split=fake.split)
    with TestClient(app) as client:  # the jobs run
        app.state.client = client
        yield schemathesis.openapi.from_asgi("/openapi.json", app)


@pytest.fixture(scope="module")
def made(api: Any) -> dict[str, str]:
    client: TestClient = api.app.state.client
    job = client.post("/v1/decompositions?wait=1", files={"image": png_bytes()}).json()
    layers = client.get(f"/v1/documents/{job['document_id']}").json()["layers"]
    return {"job": job["id"], "id": job["document_id"], "sha256": layers[0]["sha256"]}


def test_the_service_keeps_to_its_description(api: Any, made: dict[str, str]) -> None:
    """Half of the calls are about a document and a job that there are."""
    seen: set[tuple[str, int]] = set()
    operations = [result.ok() for result in api.get_all_operations()]
    assert len(operations) >= 15
    for operation in operations:

        @given(case=operation.as_strategy(), known=st.booleans())
        @settings(max_examples=25, phases=(Phase.generate,), derandomize=True, deadline=None)
        def keeps(case: Any, known: bool) -> None:
            path = case.operation.path
            if known:
                for name in case.path_parameters:
                    key = "job" if name == "id" and "decompositions" in path else name
                    case.path_parameters[name] = made.get(key, case.path_parameters[name])
            answer = case.call_and_validate(checks=CHECKS)
            seen.add((path, answer.status_code))

        keeps()
    # It did not stay at the door.
    assert {("/v1/decompositions/{id}/events", 200), ("/v1/documents/{id}/export", 200), ("/metrics", 200)} <= seen
    assert {("/v1/documents/{id}/edits", 422), ("/v1/decompositions", 415), ("/v1/documents/{id}", 404)} <= seen


def test_every_option_and_every_edit_is_described(service: Any) -> None:
    page = service.get("/openapi.json").json()
    body = page["paths"]["/v1/decompositions"]["post"]["requestBody"]["content"]
    for kind in ("multipart/form-data", "application/json"):
        assert set(body[kind]["schema"]["properties"]) == {"image", *DecomposeOptions.__dataclass_fields__}
    edits = page["paths"]["/v1/documents/{id}/edits"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    kinds = {entry["properties"]["edit"]["enum"][0] for entry in edits["items"]["oneOf"]}
    assert {"move", "recolor", "merge", "regroup", "insert"} <= kinds
    for path in page["paths"].values():
        for operation in path.values():
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"]
