"""Pictures and options as they come in a request: a form with a file, or JSON with a data URI.

The type is told by the content, never by a name or header. Nothing is ever fetched from an address.
"""

import base64
import binascii
import io
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from fastapi import Request
from PIL import Image
from starlette.datastructures import UploadFile

from lamina.errors import InputError
from lamina.options import DecomposeOptions
from lamina.server.problems import BadJson, TooLarge, UnsupportedType
from lamina.server.settings import Settings

__all__ = ["Upload", "check_picture", "options_of", "picture_of_uri", "read_json", "read_upload"]

_FORMATS = ("PNG", "JPEG", "WEBP")
_MOST_FIELDS = 64
_MOST_FIELD_BYTES = 65536


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """A picture's file, checked as far as its header goes, and what is asked for."""

    picture: bytes
    options: DecomposeOptions


async def read_upload(request: Request, settings: Settings) -> Upload:
    """The picture and options of a request. Raises InputError, BadJson, TooLarge, UnsupportedType."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        values = await read_json(request)
        if not isinstance(values, Mapping):
            raise InputError(f"the body is a {type(values).__name__}, expected an object with 'image'")
        given: dict[str, Any] = dict(values)  # pyright: ignore[reportUnknownArgumentType]
        picture = picture_of_uri(given.pop("image", None), "image", settings)
        return Upload(picture=picture, options=options_of(given))
    if kind != "multipart/form-data":
        got = f"'{kind[:80]}'" if kind else "no content type"
        raise UnsupportedType(f"got {got}, expected multipart/form-data with 'image', or application/json")
    limits = {"max_files": 1, "max_fields": _MOST_FIELDS, "max_part_size": _MOST_FIELD_BYTES}
    async with request.form(**limits) as form:
        file, texts = None, dict[str, list[str]]()
        for name, value in form.multi_items():
            if isinstance(value, str):
                texts.setdefault(name, []).append(value)
            elif name == "image":
                file = value
            else:
                raise InputError(f"the form has a file '{name}', expected only 'image'")
        if not isinstance(file, UploadFile):
            raise InputError("the form has no file 'image'")
        options = options_of({name: _value(name, given) for name, given in texts.items()})
        picture = await file.read()
    check_picture(picture, settings)
    return Upload(picture=picture, options=options)


async def read_json(request: Request) -> Any:
    """The parsed body. Raises BadJson."""
    body = await request.body()
    try:
        return json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadJson(f"the body is not JSON: {error}") from error


def options_of(values: Mapping[str, Any]) -> DecomposeOptions:
    """The options of JSON values; null stands for "not given". Raises InputError."""
    known = {field.name: field for field in fields(DecomposeOptions)}
    for name in values:
        if name not in known:
            raise InputError(f"there is no option '{name[:80]}'; there are {', '.join(known)}")
    given = {name: value for name, value in values.items() if value is not None}
    for name, value in given.items():
        kinds = _kinds(name)
        if float in kinds and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise InputError(f"{name} is {value!r}, expected a number")
        if kinds == (str,) and not isinstance(value, str):
            raise InputError(f"{name} is {value!r}, expected text")
    try:
        options = DecomposeOptions(**given)
        json.dumps(asdict(options)).encode("ascii")
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"the options cannot be used: {error}") from error
    return options


def picture_of_uri(uri: Any, name: str, settings: Settings) -> bytes:
    """The picture in a data URI, checked. Raises InputError, TooLarge, UnsupportedType."""
    if not isinstance(uri, str):
        got = "lacks" if uri is None else f"has a {type(uri).__name__} as"
        raise InputError(f"the request {got} '{name}', expected a data URI: 'data:image/png;base64,…'")
    head, comma, body = uri.partition(",")
    if not head.lower().startswith("data:"):
        raise InputError(
            f"'{name}' is '{uri[:80]}', expected a data URI: no address is fetched for a caller; read the picture "
            "yourself and send its bytes, as 'data:image/png;base64,…' or as a file"
        )
    if not comma or not head.lower().endswith(";base64"):
        raise InputError(f"'{name}' begins with '{head[:80]}', expected 'data:image/png;base64,' or the like")
    try:
        picture = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"'{name}' is not base64: {error}") from error
    check_picture(picture, settings)
    return picture


def check_picture(data: bytes, settings: Settings) -> None:
    """Raise TooLarge or UnsupportedType by what the file's first bytes tell; nothing is decoded."""
    if not data:
        raise InputError("the picture is empty (0 bytes)")
    if len(data) > settings.max_bytes:
        raise TooLarge(f"the picture is {len(data)} bytes, expected at most {settings.max_bytes}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                width, height = image.size
    except Image.DecompressionBombError as error:
        raise TooLarge(f"the picture is far over {settings.max_pixels} pixels") from error
    except Exception as error:  # Pillow's readers raise nearly anything on broken headers
        raise UnsupportedType("the file is no PNG, JPEG or WebP picture, or its beginning is damaged") from error
    if width * height > settings.max_pixels:
        raise TooLarge(f"the picture is {width}x{height}, expected at most {settings.max_pixels} pixels")


def _value(name: str, given: Sequence[str]) -> Any:
    """What the text of a form field, given once or several times, stands for."""
    if name not in {field.name for field in fields(DecomposeOptions)}:
        return None if given == [""] else given[0]  # refused by name later
    kinds = _kinds(name)
    if tuple in kinds:
        return [text for text in given if text]
    if len(given) > 1:
        raise InputError(f"'{name}' is given {len(given)} times, expected once")
    (text,) = given
    if text == "" and str not in kinds:
        return None  # a form's empty field
    for kind in kinds:
        if kind is str or text == kind:
            return text
        if kind in (int, float):
            try:
                return kind(text)
            except ValueError:
                continue
    return text  # refused by the options, in their words


def _kinds(name: str) -> tuple[Any, ...]:
    """The plain types and literal values that an option takes; `tuple` for lists."""
    hint = get_type_hints(DecomposeOptions)[name]
    members = (hint,) if get_origin(hint) in (tuple, Literal) else get_args(hint) or (hint,)
    kinds: list[Any] = []
    for member in members:
        origin = get_origin(member)
        kinds += get_args(member) if origin is Literal else [origin or member]
    return tuple(kind for kind in kinds if kind is not type(None))


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")
