"""How a tool's operator combines its own arguments with those that all of them have."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from importlib import import_module

from airflow_provider_magichour.fields import SignedUrlField


def places(text: str) -> Mapping[str, str]:
    """Return the path of each argument in the API's body.

    :param text: ``argument=dotted.path``, or only the name if both are the same.
    """
    pairs = (each.partition("=") for each in text.split())
    return {name: path or name for name, _, path in pairs}


def take_signed_urls(cls: type, names: Iterable[str]) -> None:
    """Make arguments of a class attributes that may hold signed URLs."""
    for name in names:
        field = SignedUrlField()
        field.__set_name__(cls, name)
        setattr(cls, name, field)


def described(cls: type, base: type) -> str | None:
    """Return a class's docstring, followed by the parameters of its base."""
    if not cls.__doc__:
        return cls.__doc__
    own, shared = inspect.cleandoc(cls.__doc__), inspect.cleandoc(base.__doc__ or "")
    names = getattr(cls, "arguments", {})
    told = [
        f":param {name}: the API's field of that name. (templated)" for name in names if f":param {name}:" not in own
    ]
    return "\n".join([own, *told, shared[shared.find(":param") :]])


def signature(cls: type, base: type) -> inspect.Signature:
    """Return a class's own arguments and those of its base: what default_args and expand() may set (Airflow 3.3.2)."""
    own, shared = _parameters(cls), _parameters(base)
    names = getattr(cls, "arguments", {})
    fields = {name: inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None) for name in names}
    known = {**fields, **shared, **own}
    ordered = [*own, *(name for name in known if name not in own and name != "kwargs")]
    return inspect.Signature([*(known[name] for name in ordered if name != "kwargs"), shared["kwargs"]])


def _parameters(cls: type) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(vars(cls)["__init__"]).parameters


def arguments_of(tool: str) -> Mapping[str, str]:
    """Return the dotted path in the API's body of each argument of a tool's own operator; {} if it has none."""
    room = import_module(__package__)
    operators = (getattr(room, name) for name in room.__all__)
    return next((dict(each.arguments) for each in operators if getattr(each, "tool", None) == tool), {})
