"""Problems as callers see them: every error as `application/problem+json` with a stable code.

Source: RFC 9457. The code of an error is that of its class; the status is here, in one table.
"""

import http
import json
import logging
from collections.abc import Mapping
from typing import Any, ClassVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from lamina.errors import (
    Cancelled,
    CheckpointError,
    DeviceError,
    FormatError,
    InputError,
    LaminaError,
    MissingExtraError,
)

__all__ = [
    "BadJson",
    "Conflict",
    "CrossOrigin",
    "Json",
    "NotFound",
    "ProblemOfJob",
    "QueueFull",
    "ServiceError",
    "StorageFull",
    "TooLarge",
    "TooSlow",
    "Unauthorized",
    "UnsupportedType",
    "WrongHost",
    "add_handlers",
    "problem_of",
]

logger = logging.getLogger(__name__)


class ServiceError(LaminaError):
    """An error that only a service has; `status` is its HTTP status."""

    status: ClassVar[int] = 400


class BadJson(ServiceError):
    code = "bad-json"


class Unauthorized(ServiceError):
    code, status = "unauthorized", 401


class CrossOrigin(ServiceError):
    code, status = "cross-origin", 403


class NotFound(ServiceError):
    code, status = "not-found", 404


class TooSlow(ServiceError):
    code, status = "too-slow", 408


class Conflict(ServiceError):
    code, status = "conflict", 409


class TooLarge(ServiceError):
    code, status = "too-large", 413


class UnsupportedType(ServiceError):
    code, status = "unsupported-type", 415


class WrongHost(ServiceError):
    code, status = "wrong-host", 421


class QueueFull(ServiceError):
    """`retry_after` is in seconds."""

    code, status = "queue-full", 429

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StorageFull(ServiceError):
    code, status = "storage-full", 507


class ProblemOfJob(LaminaError):
    """How a job failed, where it was told and not raised: by the store, or by a replica. `error` has a code and a
    message."""

    def __init__(self, error: Mapping[str, str]) -> None:
        super().__init__(error["message"])
        self.job_code = error["code"]


_STATUS: dict[type[LaminaError], int] = {
    InputError: 422,
    FormatError: 422,
    Cancelled: 409,
    MissingExtraError: 501,
    DeviceError: 503,
    CheckpointError: 503,
}


_STATUS_OF_JOB = {kind.code: status for kind, status in _STATUS.items()} | {
    "out-of-memory": 507,
    "replica-lost": 503,
    "storage-full": 507,
    "too-slow": 504,
}


class Json(Response):
    """JSON in ASCII: names may hold what no UTF-8 can, a lone surrogate."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return json.dumps(content, separators=(",", ":")).encode("ascii")


class _ProblemJson(Json):
    media_type = "application/problem+json"


def problem_of(error: Exception) -> Response:
    """The answer to any error; what is no error on purpose says only that it is a defect."""
    headers: dict[str, str] = {}
    if isinstance(error, QueueFull):
        headers["retry-after"] = str(error.retry_after)
    if isinstance(error, Unauthorized):
        headers["www-authenticate"] = 'Bearer realm="lamina"'
    if isinstance(error, ServiceError):
        return _problem(error.status, error.code, str(error), headers)
    if isinstance(error, ProblemOfJob):
        return _problem(_STATUS_OF_JOB.get(error.job_code, 500), error.job_code, str(error))
    if isinstance(error, LaminaError):
        status = next((s for kind, s in _STATUS.items() if isinstance(error, kind)), 500)
        return _problem(status, error.code, str(error))
    return _problem(500, "defect", "the service failed at this call: a defect of ours, its log says more")


def add_handlers(app: FastAPI) -> None:
    """Answer every error of the app's routes with a problem."""

    async def on_lamina(_: Request, error: Exception) -> Response:
        return problem_of(error)

    async def on_http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = http.HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
        return _problem(error.status_code, code, str(error.detail), error.headers)

    async def on_validation(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return problem_of(BadJson(f"the body is not JSON: {first['ctx']['error']}"))
        where = ".".join(str(part) for part in first["loc"][1:]) or "the body"
        return _problem(422, InputError.code, f"{where}: {first['msg']}, got {str(first.get('input'))[:80]!r}")

    async def on_disconnect(_: Request, error: Exception) -> Response:
        return _problem(400, "disconnected", "the upload was broken off")  # nobody is left to read it

    app.add_exception_handler(LaminaError, on_lamina)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(ClientDisconnect, on_disconnect)


def _problem(status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    content = {"type": "about:blank", "title": http.HTTPStatus(status).phrase, "status": status, "detail": detail}
    return _ProblemJson({**content, "code": code}, status, dict(headers or {}))
