"""Routes of jobs: send a picture, see how far it is, stop it."""

import hashlib
import json
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from lamina.errors import InputError
from lamina.options import DecomposeOptions
from lamina.server.problems import Json
from lamina.server.schemas import JobModel, options_schema, problems
from lamina.server.service import EXPORTS, Service, check_export, file_content, job_json
from lamina.server.store import Job
from lamina.server.uploads import read_upload

__all__ = ["add_decompositions", "check_key", "submitted"]

_MOST_KEY = 200
_EVENT = {
    "type": "object",
    "properties": {
        "event": {"enum": ["progress", "done", "failed", "cancelled"]},
        "data": {"type": "string", "description": "The job, as JSON"},
    },
    "required": ["event", "data"],
}


def add_decompositions(router: APIRouter, service: Service) -> None:
    """Add the routes."""

    @router.post(
        "/v1/decompositions",
        status_code=202,
        openapi_extra=_request_body(),
        responses={
            202: {"model": JobModel, "description": "Taken; `Location` is where to look"},
            200: {
                "model": JobModel,
                "description": "With `wait`: the ended job; with `format` too: the file itself",
                "content": file_content(),
            },
            **problems(400, 403, 408, 409, 413, 415, 422, 429, 501, 503, 507),
        },
    )
    async def begin(
        request: Request,
        wait: Annotated[bool, Query(description="Answer when the job has ended")] = False,
        format: Annotated[
            str | None,
            Query(
                description="With `wait`: answer with the document as a file of this kind",
                json_schema_extra={"enum": [*EXPORTS]},
            ),
        ] = None,
    ) -> Response:
        """Decompose a picture.

        With the header `Idempotency-Key`, a call that is repeated gets the job of the first.
        """
        if format is not None and not wait:
            raise InputError("'format' needs 'wait=1'; without it, export the document when the job is done")
        if format is not None:
            check_export(format)
        key = check_key(request)
        if key is None:
            service.jobs.check_room()  # before the upload is read
        upload = await read_upload(request, service.settings)
        job = await submitted(service, upload.picture, upload.options, key)
        return await service.answered(job, wait=wait, kind=format)

    @router.get("/v1/decompositions/{id}", responses={200: {"model": JobModel}, **problems(404)})
    async def look(id: str) -> Response:
        """How far a job is."""
        return Json(job_json(await service.run(lambda: service.jobs.get(id))))

    @router.get(
        "/v1/decompositions/{id}/events",
        response_class=Response,
        responses={
            200: {
                "description": "Server-sent events progress, done, failed, cancelled; their data is the job as JSON",
                "content": {"text/event-stream": {"schema": _EVENT}},
            },
            **problems(404),
        },
    )
    async def events(id: str) -> Response:
        """How far a job is, as it goes."""
        return await service.events(id)

    @router.delete("/v1/decompositions/{id}", responses={200: {"model": JobModel}, **problems(403, 404, 409, 507)})
    async def cancel(id: str) -> Response:
        """Stop a job: at once while it waits, else at its next step."""
        return Json(job_json(await service.run(lambda: service.jobs.cancel(id))))


async def submitted(service: Service, picture: bytes, options: DecomposeOptions, key: str | None) -> Job:
    """The job that was taken for a picture."""
    request = {"options": asdict(options)}
    told = json.dumps(request, sort_keys=True).encode("ascii")

    def submit() -> Job:
        fingerprint = hashlib.sha256(hashlib.sha256(picture).digest() + told).hexdigest()
        return service.jobs.submit("decompose", request, picture=picture, key=key, fingerprint=fingerprint)

    return await service.run(submit)


def check_key(request: Request) -> str | None:
    """The idempotency key of a call; raises InputError when it is unfit."""
    key = request.headers.get("idempotency-key")
    if key is not None and not (0 < len(key) <= _MOST_KEY and key.isascii() and key.isprintable()):
        raise InputError(f"the idempotency key is not 1-{_MOST_KEY} printable ASCII characters")
    return key


def _request_body() -> dict[str, Any]:
    options = options_schema()
    uri = {"type": "string", "description": "A data URI (PNG, JPEG or WebP); no address is fetched"}
    file = {"type": "string", "format": "binary", "description": "PNG, JPEG or WebP, told by content"}
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "schema": {"type": "string", "minLength": 1, "maxLength": _MOST_KEY, "pattern": "^[!-~]+$"},
    }

    def body(image: dict[str, Any]) -> dict[str, Any]:
        properties = {"image": image, **options}
        return {
            "schema": {
                "type": "object",
                "properties": properties,
                "required": ["image"],
                "additionalProperties": False,
            }
        }

    content = {"multipart/form-data": body(file), "application/json": body(uri)}
    return {"requestBody": {"required": True, "content": content}, "parameters": [key]}
