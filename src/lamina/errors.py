"""Every error that Lamina raises on purpose.

LaminaError            .code (kebab-case, stable)
├─ InputError          the caller's image, option or edit is unusable
├─ FormatError         a layered file cannot be read or written
├─ CheckpointError     weights absent, of another kind, or not matching their config
├─ DeviceError         no such device, or out of memory
├─ MissingExtraError   names the extra and the exact install command
└─ Cancelled           the caller asked to stop

A message says what was got, what was expected and what to do. Only the borders (command line, server, nodes)
translate these; a defect of ours is any other exception and keeps its traceback.
"""

from typing import ClassVar

__all__ = [
    "Cancelled",
    "CheckpointError",
    "DeviceError",
    "FormatError",
    "InputError",
    "LaminaError",
    "MissingExtraError",
]


class LaminaError(Exception):
    """Root of the tree."""

    code: ClassVar[str] = "error"


class InputError(LaminaError):
    """The caller's image, option or edit is unusable."""

    code = "bad-input"


class FormatError(LaminaError):
    """A layered file cannot be read or written."""

    code = "bad-file"


class CheckpointError(LaminaError):
    """Weights are absent, of another kind, or do not match their config."""

    code = "bad-checkpoint"


class DeviceError(LaminaError):
    """No such device, or it is out of memory."""

    code = "bad-device"


class MissingExtraError(LaminaError):
    """An optional dependency is not installed."""

    code = "missing-extra"

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra '{extra}', which is not installed: pip install 'lamina[{extra}]'")
        self.extra = extra


class Cancelled(LaminaError):
    """The caller asked to stop."""

    code = "cancelled"
