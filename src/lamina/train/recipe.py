"""Recipes by name: `module:function` or `file.py:function` with key=value words, or a saved config.json, to a Run.

A recipe is a function of keyword arguments, `out` (the run's folder) among them, that returns a Run.
"""

import importlib
import importlib.util
import inspect
import json
import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from lamina.errors import InputError
from lamina.train.loop import Run

__all__ = ["named", "resolve"]


def resolve(words: Sequence[str], out: Path | None = None) -> Run:
    """The run of RECIPE key=value ...; `out` is by default runs/ and the recipe's name, or a config.json's folder.

    Raises InputError when there is no such recipe or argument, or a value cannot be read.
    """
    recipe, *pairs = words
    if recipe.endswith(".json"):
        saved = _saved(Path(recipe))
        return resolve([*saved, *pairs], out or Path(recipe).parent)
    function = named(recipe)
    given = dict(_pair(pair) for pair in pairs)
    hints = get_type_hints(function)
    parameters = inspect.signature(function).parameters
    if "out" not in parameters:
        raise InputError(f"{recipe} takes no argument 'out', the run's folder; it is no recipe")
    if "out" in given:
        raise InputError("the run's folder is given by -o, not by out=")
    if unknown := sorted(set(given) - set(parameters)):
        known = ", ".join(name for name in parameters if name != "out")
        raise InputError(f"{recipe} has no argument {', '.join(unknown)}; it has {known}")
    needed = [n for n, p in parameters.items() if p.default is p.empty and n != "out" and n not in given]
    if needed:
        raise InputError(f"{recipe} needs {' '.join(f'{name}=...' for name in needed)}")
    values = {name: _value(text, hints.get(name, str), name) for name, text in given.items()}
    run = function(out=out or Path("runs") / recipe.rpartition(":")[2], **values)
    if not isinstance(run, Run):
        raise InputError(f"{recipe} returns a {type(run).__name__}, expected a lamina.train.loop.Run")
    final = [f"{name}={text}" for name, text in given.items()]
    return replace(run, config=replace(run.config, recipe=(recipe, *final)))


def named(words: str) -> Callable[..., Any]:
    """The function called `module:function` or `file.py:function`; modules of the working folder count.

    Raises InputError when there is none.
    """
    place, _, name = words.rpartition(":")
    if not place or not name:
        raise InputError(f"'{words}' names no function; expected module:function or file.py:function")
    module = _file(Path(place)) if place.endswith(".py") else _module(place)
    found = getattr(module, name, None)
    if not callable(found):
        raise InputError(f"{place} has no function '{name}'")
    return cast("Callable[..., Any]", found)


def _module(name: str) -> types.ModuleType:
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name + ".").startswith(error.name + "."):
            raise InputError(f"there is no module '{name}'; run where it can be found, or name its file") from error
        raise


def _file(path: Path) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(f"recipe_{path.stem}", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise InputError(f"there is no file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and loader processes look it up
    spec.loader.exec_module(module)
    return module


def _saved(path: Path) -> list[str]:
    try:
        words: Any = json.loads(path.read_text("utf-8"))["recipe"]
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no config of a run") from error
    if not words:
        raise InputError(f"{path} is of a run that `lamina train` did not start; name its recipe instead")
    return [str(word) for word in words]


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InputError(f"'{text}' is not key=value")
    return name, value


def _value(text: str, hint: Any, name: str) -> Any:
    """A word of the command line as the hinted type."""
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if type(None) in options and text.lower() == "none":
        return None
    kind = next(option for option in options if option is not type(None))
    if get_origin(kind) is Literal:
        if text not in get_args(kind):
            raise InputError(f"{name}={text}: expected one of {', '.join(map(str, get_args(kind)))}")
        return text
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise InputError(f"{name}={text}: expected true or false")
        return text.lower() == "true"
    if kind not in (int, float, str, Path):
        raise InputError(f"{name} cannot be given as a word; write a recipe of your own that sets it")
    try:
        return kind(text)
    except ValueError as error:
        raise InputError(f"{name}={text}: expected {kind.__name__}") from error
