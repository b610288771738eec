"""Routes of the service itself: health, figures, the session of the editor, and the editor's files."""

from pathlib import Path

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

import lamina
from lamina.server.guard import COOKIE, check_bearer, session_value
from lamina.server.metrics import CONTENT_TYPE_LATEST, Metrics
from lamina.server.problems import Json
from lamina.server.schemas import HealthModel, problems
from lamina.server.service import Service

__all__ = ["add_editor", "add_system"]

_STATIC = Path(__file__).parent / "static"
_SESSION_DAYS = 30


def add_system(router: APIRouter, service: Service, metrics: Metrics) -> None:
    """Add the routes."""

    @router.get("/health", responses={200: {"model": HealthModel}, **problems(503)})
    async def health() -> Response:
        """Whether the service works."""
        await service.run(service.store.check)
        facts = {"status": "ok", "version": lamina.__version__}
        return Json({**facts, "waiting": service.jobs.waiting, "running": service.jobs.running})

    @router.get(
        "/metrics",
        response_class=Response,
        responses={
            200: {"description": "Figures for Prometheus", "content": {CONTENT_TYPE_LATEST: {}}},
            **problems(),
        },
    )
    async def figures() -> Response:
        """Figures for Prometheus."""
        return Response(await service.run(metrics.text), media_type=CONTENT_TYPE_LATEST)

    @router.get("/v1/session", responses={200: {"content": {"application/json": {}}}, **problems()})
    async def needed() -> Response:
        """Whether calls need a token."""
        return Json({"token": bool(service.settings.token)})

    @router.post(
        "/v1/session",
        status_code=204,
        response_class=Response,
        responses={204: {"description": "The cookie stands for the token now"}, **problems(403)},
    )
    async def begin(request: Request) -> Response:
        """Exchange the bearer token for a cookie that scripts cannot read and other sites cannot use."""
        token = service.settings.token
        answer = Response(status_code=204)
        if token:
            check_bearer(request.headers, token)
            answer.set_cookie(
                COOKIE,
                session_value(token).decode("ascii"),
                max_age=_SESSION_DAYS * 86400,
                httponly=True,
                samesite="strict",
                secure=request.url.scheme == "https",
            )
        return answer

    @router.delete(
        "/v1/session",
        status_code=204,
        response_class=Response,
        responses={204: {"description": "The cookie is gone"}, **problems(403)},
    )
    async def leave() -> Response:
        """Drop the cookie."""
        answer = Response(status_code=204)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer


def add_editor(app: FastAPI) -> None:
    """Serve the editor: plain files, the same for everyone."""

    @app.get("/", include_in_schema=False)
    async def page() -> Response:  # pyright: ignore[reportUnusedFunction]
        return FileResponse(_STATIC / "index.html", headers={"cache-control": "no-cache"})

    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
