"""What every call passes through: host and origin, the token, limits on the body, headers, counting, defects.

Pure ASGI. A body is limited in bytes and time while it streams; what is answered before the body was read waits until
the caller has sent it (within the limits), so that the answer is read and not lost to a broken connection.
"""

import asyncio
import hashlib
import hmac
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lamina.errors import LaminaError
from lamina.server.problems import CrossOrigin, TooLarge, TooSlow, Unauthorized, WrongHost, problem_of
from lamina.server.settings import Settings

__all__ = ["COOKIE", "Count", "Guard", "check_bearer", "session_value"]

logger = logging.getLogger(__name__)

COOKIE = "lamina_session"

_OPEN = ("/", "/health", "/v1/session")
"""Paths without the token, and /static/: they tell nothing but that a service is here."""

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_JSON_ROOM = 1_000_000
"""Bytes that a body may have beside its pictures."""

_LINGER_SECONDS = 10.0

Count = Callable[[str, str, int, float], None]
"""Hears of every call: method, route, status, seconds."""


class Guard:
    """Middleware around the whole app."""

    def __init__(self, app: ASGIApp, settings: Settings, count: Count) -> None:
        self._app, self._settings, self._count = app, settings, count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.monotonic(), 0
        body = _Body(receive, self._settings, expects="expect" in Headers(scope=scope))

        async def guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
                await body.drain()
            await send(message)

        try:
            self._check(scope)
            await self._app(scope, body.receive, guarded)
        except Exception as error:
            if not isinstance(error, LaminaError):
                logger.exception("%s %s failed", scope["method"], scope["path"])
            if status:
                raise  # too late for a problem: the connection is broken off, so that nobody takes it for whole
            await problem_of(error)(scope, receive, guarded)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._count(scope["method"], route, status, time.monotonic() - start)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._settings.hosts and _without_port(host) not in self._settings.hosts:
            known = ", ".join(self._settings.hosts)
            raise WrongHost(f"this service is not called '{host[:80]}'; call it by one of {known}")
        if scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            _check_origin(headers, host)
        path = scope["path"]
        if self._settings.token and path not in _OPEN and not path.startswith("/static/"):
            cookie = _cookie(headers)
            if cookie is None or not hmac.compare_digest(cookie, session_value(self._settings.token)):
                check_bearer(headers, self._settings.token)


class _Body:
    """A request's body as it comes in."""

    def __init__(self, receive: Receive, settings: Settings, *, expects: bool) -> None:
        self._receive, self._settings, self._expects = receive, settings, expects
        self._most = settings.max_bytes * 4 // 3 + _JSON_ROOM  # base64 takes four thirds
        self._taken, self._whole, self._begun = 0, False, time.monotonic()

    async def receive(self) -> Message:
        """The next message; raises TooLarge and TooSlow."""
        if self._whole:
            return await self._receive()  # a disconnect
        left = self._begun + self._settings.upload_seconds - time.monotonic()
        patience = min(self._settings.idle_seconds, max(left, 0.0))
        try:
            message = await asyncio.wait_for(self._receive(), patience)
        except TimeoutError:
            self._whole = True
            raise TooSlow(f"the upload stood still or took over {self._settings.upload_seconds:g} s") from None
        self._note(message)
        if self._taken > self._most:
            raise TooLarge(f"the request is over {self._most} bytes, more than a picture may have")
        return message

    async def drain(self) -> None:
        """Let the caller send the rest, within limits, and forget it."""
        most = self._taken + self._most
        if self._whole or (self._expects and not self._taken):
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_SECONDS):
                while not self._whole and self._taken < most:
                    self._note(await self._receive())

    def _note(self, message: dict[str, Any] | Any) -> None:
        self._taken += len(message.get("body", b""))
        self._whole = message["type"] != "http.request" or not message.get("more_body", False)


def check_bearer(headers: Headers, token: str) -> None:
    """Raise Unauthorized unless the call carries the bearer token."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    # Headers are latin-1 text; as bytes, any of it can be compared.
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode("latin-1"), token.encode("ascii")):
        raise Unauthorized("this call needs the service's token: 'Authorization: Bearer TOKEN'")


def session_value(token: str) -> bytes:
    """What the cookie holds: proof of the token, not the token."""
    return hmac.new(token.encode("ascii"), b"lamina session 1", hashlib.sha256).hexdigest().encode("ascii")


def _cookie(headers: Headers) -> bytes | None:
    value = cookie_parser(headers.get("cookie", "")).get(COOKIE)
    return None if value is None else value.encode("utf-8", "replace")


def _check_origin(headers: Headers, host: str) -> None:
    """A page of another site may not use a visitor's browser to change things here."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    foreign = site is not None and site not in ("same-origin", "none")
    if foreign or (origin is not None and origin.partition("://")[2] != host):
        raise CrossOrigin("this call comes from a page of another site, which may not change anything here")


def _without_port(host: str) -> str:
    name, _, port = host.rpartition(":")
    return (name if port.isdigit() else host).lower()
