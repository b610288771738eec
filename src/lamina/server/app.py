"""The service as an ASGI app: `create_app` puts the rooms together; each kind of route has a module of its own.

Knows no model: what decomposes is any callable `(picture, options, on_step) -> Document`.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from fastapi import APIRouter, FastAPI

import lamina
from lamina.document.document import Document
from lamina.options import DecomposeOptions
from lamina.pixels import Picture, load_image
from lamina.server.decompositions import add_decompositions
from lamina.server.documents import add_documents
from lamina.server.fal import add_fal
from lamina.server.guard import Guard
from lamina.server.jobs import Jobs, OnStep, Work
from lamina.server.metrics import Metrics
from lamina.server.problems import add_handlers
from lamina.server.schemas import ProblemModel
from lamina.server.service import Service
from lamina.server.settings import Settings
from lamina.server.store import Job, Store
from lamina.server.system import add_editor, add_system

__all__ = ["Decompose", "Split", "create_app"]

logger = logging.getLogger(__name__)

Decompose = Callable[[Picture, DecomposeOptions, OnStep], Document]
"""(picture, options, on_step) -> Document, as `lamina.Decomposer` is called."""

Split = Callable[[Document, str, DecomposeOptions, OnStep], Document]
"""(document, layer id, options, on_step) -> Document in which the layer is a group, as `Decomposer.split`."""

_SWEEP_SECONDS = 600.0


def create_app(
    decompose: Decompose | Sequence[Decompose], *, settings: Settings, split: Split | None = None
) -> FastAPI:
    """The service; several `decompose` are as many workers, one for each device.

    Opens the store, and raises InputError where that cannot be; the app's shutdown closes it. Without `split`, there
    is no route that splits layers.
    """
    store = Store(settings)
    metrics = Metrics()
    devices = [decompose] if callable(decompose) else list(decompose)
    workers = [_worker(store, device, split) for device in devices]
    jobs = Jobs(store, workers, settings, metrics.count_job)
    metrics.watch(jobs, store)
    service = Service(settings=settings, store=store, jobs=jobs, splits=split is not None)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        jobs.start()
        sweeping = asyncio.create_task(_sweep(service))
        try:
            yield
        finally:
            sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await sweeping
            await asyncio.to_thread(jobs.stop)
            store.close()

    app = FastAPI(
        title="Lamina",
        version=lamina.__version__,
        description="A flat picture in, an editable stack of RGBA layers out.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"auto_configure": False, "tracing": False, "metrics": False, "logs": False},  # nothing leaves
        lifespan=lifespan,
    )
    app.state.store = store
    router = APIRouter(redirect_slashes=False)
    add_decompositions(router, service)
    add_documents(router, service)
    add_fal(router, service)
    add_system(router, service, metrics)
    app.include_router(router)
    add_editor(app)
    add_handlers(app)
    _describe(app, needs_token=bool(settings.token))
    app.add_middleware(Guard, settings=settings, count=metrics.count_call)
    return app


def _worker(store: Store, decompose: Decompose, split: Split | None) -> dict[str, Work]:
    def work(job: Job, on_step: OnStep) -> Document:
        picture = load_image(store.picture(job))
        return decompose(picture, DecomposeOptions(**job.request["options"]), on_step)

    if split is None:
        return {"decompose": work}

    def part(job: Job, on_step: OnStep) -> Document:
        request = job.request
        options = DecomposeOptions(**request["options"])
        return split(store.load(request["document"]), request["layer"], options, on_step)

    return {"decompose": work, "split": part}


async def _sweep(service: Service) -> None:
    """Now and then, remove what is kept no longer."""
    while True:
        try:
            await service.run(service.store.sweep)
        except Exception:
            logger.exception("the sweep of %s failed", service.settings.home)
        await asyncio.sleep(_SWEEP_SECONDS)


def _describe(app: FastAPI, *, needs_token: bool) -> None:
    """Complete the OpenAPI page: the problems' model, the token, and no validation answers that we do not give."""
    made = app.openapi()
    schemas = made["components"]["schemas"]
    schemas[ProblemModel.__name__] = ProblemModel.model_json_schema()
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    problem = {"application/problem+json": {"schema": {"$ref": f"#/components/schemas/{ProblemModel.__name__}"}}}
    for path in made["paths"].values():
        for operation in path.values():
            if "422" in operation["responses"]:
                operation["responses"]["422"] = {"description": "Understood, but cannot be done", "content": problem}
    if needs_token:
        made["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        made["security"] = [{"token": []}]
        made["paths"]["/health"]["get"]["security"] = []
    app.openapi_schema = made
