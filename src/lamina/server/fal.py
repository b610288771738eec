"""One route that takes the request fields of fal's hosted `qwen-image-layered` and answers in the same spirit.

Its request fields, defaults and ranges are as its public description gives them (fal-ai/qwen-image-layered, 2026).
Unproven: the answer. Its fields were not seen there, so `images`, `seed` and `prompt` follow what fal's picture models
answer in general; `document_id` and `warnings` are ours. There is no safety checker here, and no negative prompt.
"""

import base64
import io
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field, ValidationError
from starlette.responses import Response

from lamina.document.composite import flatten_nodes
from lamina.document.document import Document
from lamina.errors import InputError
from lamina.formats import png
from lamina.pixels import to_image
from lamina.server.decompositions import check_key, submitted
from lamina.server.problems import Json, NotFound, ProblemOfJob
from lamina.server.schemas import problems
from lamina.server.service import Service, done
from lamina.server.uploads import options_of, picture_of_uri, read_json

__all__ = ["FalAnswer", "FalImage", "FalRequest", "add_fal"]

_MOST_SEED = 2**63 - 1


class FalRequest(BaseModel, extra="forbid", strict=True):
    """What is asked for. Where steps and guidance are not given, the checkpoint's own are used."""

    image_url: str = Field(description="A data URI; no address is fetched")
    prompt: str | None = None
    negative_prompt: str = Field(default="", description="Not used: a warning says so")
    num_inference_steps: int | None = Field(default=None, ge=1, le=50)
    guidance_scale: float | None = Field(default=None, ge=1, le=20)
    num_layers: int = Field(default=4, ge=1, le=10)
    seed: int | None = Field(default=None, ge=0, le=_MOST_SEED)
    sync_mode: bool = Field(default=False, description="Answer with the pictures as data URIs")
    enable_safety_checker: bool = Field(default=True, description="Not used: there is none here")
    output_format: Literal["png", "webp"] = "png"


class FalImage(BaseModel):
    """One layer, at the size of the whole picture; bottom first."""

    url: str
    content_type: str
    file_name: str
    width: int
    height: int


class FalAnswer(BaseModel):
    """The layers; `document_id` is the editable document, `warnings` what the request asked for in vain."""

    images: list[FalImage]
    seed: int
    prompt: str
    document_id: str
    warnings: list[str]


def add_fal(router: APIRouter, service: Service) -> None:
    """Add the route, and the one of its pictures."""

    @router.post(
        "/fal-ai/qwen-image-layered",
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": FalRequest.model_json_schema()}},
            }
        },
        responses={200: {"model": FalAnswer}, **problems(400, 403, 408, 409, 413, 415, 422, 429, 503, 504, 507)},
    )
    async def layered(request: Request) -> Response:
        """Decompose a picture and wait for it, by fal's request fields."""
        asked = _asked(await read_json(request))
        picture = picture_of_uri(asked.image_url, "image_url", service.settings)
        options = options_of(
            {
                "layers": asked.num_layers,
                "prompt": asked.prompt,
                "steps": asked.num_inference_steps,
                "guidance": asked.guidance_scale,
                "seed": asked.seed,
            }
        )
        job = await submitted(service, picture, options, check_key(request))
        job = await service.jobs.wait(job.id, service.settings.wait_seconds)
        if not job.status.ended:
            words = f"the picture took over {service.settings.wait_seconds:g} s; its job goes on: {job.id}"
            raise ProblemOfJob({"code": "too-slow", "message": words})
        return Json(await _answer(service, done(job), asked))

    @router.get(
        "/v1/documents/{id}/layers/{index}.{format}",
        response_class=Response,
        responses={
            200: {
                "description": "One layer or group at the size of the canvas",
                "content": {f"image/{kind}": {"schema": {"type": "string", "format": "binary"}} for kind in _ENCODE},
            },
            **problems(404, 422),
        },
    )
    async def layer(
        id: str,
        index: Annotated[int, Path(ge=0, description="0 = bottom")],
        format: Annotated[Literal["png", "webp"], Path()],
    ) -> Response:
        """One layer or group of a document, as it lies, at the size of the canvas."""
        data = await service.run(lambda: _placed(service.store.load(id), index, format), service.exports)
        return Response(data, media_type=f"image/{format}", headers={"cache-control": "private, no-cache"})


def _asked(data: Any) -> FalRequest:
    if not isinstance(data, Mapping):
        raise InputError(f"the body is a {type(data).__name__}, expected an object with 'image_url'")
    try:
        return FalRequest.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{where}: {first['msg']}, got {str(first['input'])[:80]!r}") from error


async def _answer(service: Service, name: str, asked: FalRequest) -> dict[str, Any]:
    body = await service.run(lambda: service.store.body(name))
    kind, images = asked.output_format, list[FalImage]()
    document = await service.run(lambda: service.store.load(name), service.exports) if asked.sync_mode else None
    for index in range(len(body["layers"])):
        url = f"/v1/documents/{name}/layers/{index}.{kind}"
        if document is not None:
            data = await service.run(lambda at=index: _placed(document, at, kind), service.exports)
            url = f"data:image/{kind};base64," + base64.b64encode(data).decode("ascii")
        images.append(
            FalImage(
                url=url,
                content_type=f"image/{kind}",
                file_name=f"layer-{index}.{kind}",
                width=body["width"],
                height=body["height"],
            )
        )
    warnings = [str(word) for word in body["meta"].get("warnings", [])]
    if asked.negative_prompt:
        warnings.append("negative_prompt is not used")
    seed = asked.seed or 0
    return FalAnswer(
        images=images, seed=seed, prompt=asked.prompt or "", document_id=name, warnings=warnings
    ).model_dump()


def _placed(document: Document, index: int, kind: str) -> bytes:
    if index >= len(document.layers):
        raise NotFound(f"the document has {len(document.layers)} layers; {index} is beyond them")
    rgba = flatten_nodes((document.layers[index],), document.box)
    return _ENCODE[kind](rgba)


def _webp(rgba: Any) -> bytes:
    stream = io.BytesIO()
    to_image(rgba).save(stream, "WEBP", lossless=True, quality=0, method=0, exact=True)
    return stream.getvalue()


_ENCODE = {"png": png.encode, "webp": _webp}
