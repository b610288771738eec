"""Figures for Prometheus. Each service has a registry of its own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from lamina.server.jobs import Jobs
from lamina.server.store import Job, Store

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]

_CALL_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)
_JOB_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 150, 600)


class Metrics:
    """Counts calls and jobs; asks the jobs and the store for the rest when it is read."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        labels = ("method", "route", "status")
        self._calls = Histogram(
            "lamina_http_seconds", "Seconds per call", labels, buckets=_CALL_BUCKETS, registry=self._registry
        )
        self._ended = Counter("lamina_jobs_ended", "Jobs that ended", ("kind", "status"), registry=self._registry)
        self._seconds = Histogram(
            "lamina_job_seconds", "Seconds of work per job", ("kind",), buckets=_JOB_BUCKETS, registry=self._registry
        )
        self._waiting = Gauge("lamina_jobs_waiting", "Jobs in the queue", registry=self._registry)
        self._running = Gauge("lamina_jobs_running", "Jobs at work", registry=self._registry)
        self._kept = Gauge("lamina_pixels_bytes", "Bytes of the pixels of documents", registry=self._registry)

    def watch(self, jobs: Jobs, store: Store) -> None:
        """Ask these for gauges."""
        self._waiting.set_function(lambda: jobs.waiting)
        self._running.set_function(lambda: jobs.running)
        self._kept.set_function(store.kept_bytes)

    def count_call(self, method: str, route: str, status: int, seconds: float) -> None:
        """`status` 0: the caller went away before an answer."""
        known = method if method in ("GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH") else "other"
        self._calls.labels(known, route, str(status)).observe(seconds)

    def count_job(self, job: Job, seconds: float) -> None:
        self._ended.labels(job.kind, job.status.value).inc()
        self._seconds.labels(job.kind).observe(seconds)

    def text(self) -> bytes:
        """All figures, in Prometheus's text form."""
        return generate_latest(self._registry)
