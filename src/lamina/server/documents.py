"""Routes of documents: look, edit, split a layer, take away as a file, and the pixels of layers."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import FileResponse, Response

from lamina.errors import InputError
from lamina.options import DecomposeOptions
from lamina.server.decompositions import check_key
from lamina.server.schemas import DocumentModel, JobModel, edits_schema, options_schema, problems
from lamina.server.service import EXPORTS, Service, file_content
from lamina.server.uploads import options_of, read_json

__all__ = ["add_documents"]

_FOREVER = "private, max-age=31536000, immutable"


def add_documents(router: APIRouter, service: Service) -> None:
    """Add the routes; that of splitting only where the service can split."""

    @router.get("/v1/documents/{id}", responses={200: {"model": DocumentModel}, **problems(404)})
    async def look(id: str) -> Response:
        """A document."""
        return await service.document(id)

    @router.post(
        "/v1/documents/{id}/edits",
        status_code=201,
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": edits_schema()}}}},
        responses={201: {"model": DocumentModel}, **problems(400, 403, 404, 408, 413, 415, 422, 507)},
    )
    async def edit(id: str, request: Request) -> Response:
        """Make a new document by a list of edits, all or none; the old one stays."""
        name = await service.edited(id, await read_json(request))
        return await service.document(name, 201)

    @router.get(
        "/v1/documents/{id}/export",
        response_class=Response,
        responses={
            200: {
                "description": "The file; the header Lamina-Lost is a JSON list of what it could not keep",
                "content": file_content(),
            },
            **problems(404, 422, 501, 507),
        },
    )
    async def export(
        id: str,
        format: Annotated[str, Query(description="The kind of file", json_schema_extra={"enum": [*EXPORTS]})],
    ) -> Response:
        """A document as a file."""
        return await service.export(id, format)

    @router.get(
        "/v1/pixels/{sha256}.png",
        response_class=Response,
        responses={
            200: {
                "description": "Stored pixels; what has this name never changes",
                "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
            },
            **problems(404),
        },
    )
    async def pixels(sha256: Annotated[str, Path()]) -> Response:
        """The raster of a layer, as a PNG."""
        path = await service.run(lambda: service.store.pixels.path(sha256))
        return FileResponse(path, media_type="image/png", headers={"cache-control": _FOREVER})

    if not service.splits:
        return

    @router.post(
        "/v1/documents/{id}/split",
        status_code=202,
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": _SPLIT}}}},
        responses={202: {"model": JobModel}, **problems(400, 403, 404, 408, 413, 422, 429, 507)},
    )
    async def split(id: str, request: Request) -> Response:
        """Make one layer a group of layers, in a new document."""
        layer, options = _split_of(await read_json(request))
        body = await service.run(lambda: service.store.body(id))
        known = _layers_of(body["layers"])
        if layer not in known:
            raise InputError(f"no layer with id '{layer[:80]}'; there are: {', '.join(known) or 'none'}")
        work = {"document": id, "layer": layer, "options": asdict(options)}
        told = json.dumps(work, sort_keys=True)
        key = check_key(request)
        job = await service.run(lambda: service.jobs.submit("split", work, key=key, fingerprint=told))
        return await service.answered(job, wait=False, kind=None)


_SPLIT = {
    "type": "object",
    "properties": {"layer": {"type": "string"}, **options_schema()},
    "required": ["layer"],
    "additionalProperties": False,
}


def _split_of(data: Any) -> tuple[str, DecomposeOptions]:
    if not isinstance(data, Mapping):
        raise InputError(f"the body is a {type(data).__name__}, expected an object with 'layer' and options")
    values: dict[str, Any] = dict(data)  # pyright: ignore[reportUnknownArgumentType]
    layer = values.pop("layer", None)
    if not isinstance(layer, str):
        raise InputError(f"'layer' is {layer!r:.80}, expected the id of a layer")
    return layer, options_of(values)


def _layers_of(nodes: list[dict[str, Any]]) -> list[str]:
    return [
        name for node in nodes for name in ([node["id"]] if node["kind"] == "layer" else _layers_of(node["children"]))
    ]
