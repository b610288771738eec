"""What a service allows: sizes, times, how much it keeps. Knows no HTTP."""

from dataclasses import dataclass
from pathlib import Path

from lamina.errors import InputError
from lamina.pixels import MAX_PIXELS

__all__ = ["Settings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Raises InputError when a value is out of range."""

    home: Path
    """Folder of the jobs, documents and pixels."""

    token: str = ""
    """The bearer token that every call but /health needs; without it, none is needed."""

    hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")
    """Names by which callers may address the service (the Host header, without the port); empty: any."""

    max_bytes: int = 50_000_000
    """Largest picture that is taken, in bytes."""

    max_pixels: int = MAX_PIXELS
    """Largest picture that is taken, in pixels; at most 64 megapixels."""

    queue: int = 64
    """Most jobs that wait; beyond it, callers are told to come again later."""

    attempts: int = 3
    """How often a job is begun again after the service was cut off at work on it."""

    idle_seconds: float = 20.0
    """Longest pause within an upload."""

    upload_seconds: float = 300.0
    """Longest upload."""

    wait_seconds: float = 600.0
    """Longest time that `wait=1` holds an answer back; after it, the answer is that of a call without it."""

    keep_days: float = 30.0
    """Documents not used, and jobs ended, for longer are removed."""

    keep_bytes: int = 20_000_000_000
    """Beyond this many bytes of pixels, the documents longest not used are removed, but none of the last hour."""

    cache_bytes: int = 512_000_000
    """Most bytes of decoded pixels kept in memory between calls."""

    def __post_init__(self) -> None:
        for name in ("max_bytes", "queue", "attempts", "idle_seconds", "upload_seconds", "wait_seconds", "keep_days"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} is {getattr(self, name)}, expected more than 0")
        if not 0 < self.max_pixels <= MAX_PIXELS:
            raise InputError(f"max_pixels is {self.max_pixels}, expected 1-{MAX_PIXELS}")
        if min(self.keep_bytes, self.cache_bytes) < 0:
            raise InputError("keep_bytes and cache_bytes must not be below 0")
        if not self.token.isascii() or self.token != self.token.strip():
            raise InputError("the token may hold only ASCII, and no spaces at its ends")
