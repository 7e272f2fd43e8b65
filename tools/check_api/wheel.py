"""Reads the vendor's wheel as text, and says what it says in the form of an OpenAPI document. Nothing is imported."""

from __future__ import annotations

import ast
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airflow_provider_magichour.api.tools import KINDS

SCALARS = {"str": "string", "float": "number", "int": "integer", "bool": "boolean"}
LISTS = {"List", "list", "Sequence", "Tuple", "tuple"}
THROUGH = {"Required", "NotRequired", "Optional", "Annotated"}
MAKES_JSON = "_Serializer"


def read(path: Path) -> dict[str, Any]:
    """Return an OpenAPI document of the calls that the wheel's clients make.

    :raises ValueError: when it is no wheel, or no call is found in it.
    """
    try:
        with zipfile.ZipFile(path) as wheel:
            names = [name for name in wheel.namelist() if name.endswith(".py")]
            modules = {name: ast.parse(wheel.read(name)) for name in names if _is_told(name)}
    except (zipfile.BadZipFile, SyntaxError) as error:
        raise ValueError(f"{path} is no wheel that can be read ({error})") from None
    classes = {
        node.name: node
        for name, module in modules.items()
        if "/types/" in name
        for node in module.body
        if isinstance(node, ast.ClassDef)
    }
    paths: dict[str, Any] = {}
    for module in modules.values():
        kind = _kind(module)
        for function, call in _calls(module):
            options = {each.arg: each.value for each in call.keywords}
            place = paths.setdefault(_text(options["path"]), {})
            place[_text(options["method"]).lower()] = _operation(function, kind, classes)
    if not paths:
        raise ValueError(f"{path} has no client that calls the API; the wheel of the vendor's Python SDK is needed")
    return {"paths": paths}


def _is_told(name: str) -> bool:
    return name.endswith("/client.py") or "/types/params/" in name


def _kind(module: ast.Module) -> str:
    """Return the kind of the projects that a client makes: it imports the one that looks at them."""
    sources = [node.module or "" for node in module.body if isinstance(node, ast.ImportFrom)]
    return next((kind for kind in KINDS if any(f".{kind}_projects" in source for source in sources)), "")


def _calls(module: ast.Module) -> Iterator[tuple[ast.FunctionDef, ast.Call]]:
    """Yield each request that a client sends, and the method that does; the async ones do the same."""
    for function in (each for each in ast.walk(module) if isinstance(each, ast.FunctionDef)):
        for node in ast.walk(function):
            if not isinstance(node, ast.Call) or getattr(node.func, "attr", "") != "request":
                continue
            if {"method", "path"} <= {each.arg for each in node.keywords}:
                yield function, node


def _text(node: ast.expr) -> str:
    """Return a text, with ``{id}`` for whatever is put into it."""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) if isinstance(part, ast.Constant) else "{id}" for part in node.values)
    return str(node.value) if isinstance(node, ast.Constant) else ""


def _operation(function: ast.FunctionDef, kind: str, classes: dict[str, ast.ClassDef]) -> dict[str, Any]:
    said = (ast.get_docstring(function) or "").strip().partition("\n")[0]
    operation: dict[str, Any] = {"summary": said, "tags": [f"{kind} projects"] if kind else []}
    names = [node.attr for node in ast.walk(function) if isinstance(node, ast.Attribute)]
    body = next((name.removeprefix(MAKES_JSON) for name in names if name.startswith(MAKES_JSON)), "")
    if body in classes:
        schema = _object(classes[body], classes)
        operation["requestBody"] = {"content": {"application/json": {"schema": schema}}}
    return operation


def _object(class_: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> dict[str, Any]:
    """Return the schema of a TypedDict; its serializer says what a field is called in JSON."""
    wire = _wire_names(classes.get(f"{MAKES_JSON}{class_.name}"))
    schema: dict[str, Any] = {"type": "object", "properties": {}, "required": []}
    for node, after in zip(class_.body, [*class_.body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        name = wire.get(node.target.id, node.target.id)
        text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
        schema["properties"][name] = {**_schema(node.annotation, classes), "description": str(text)}
        if _last_name(node.annotation) != "NotRequired":
            schema["required"].append(name)
    return schema


def _wire_names(serializer: ast.ClassDef | None) -> dict[str, str]:
    found = {}
    for node in serializer.body if serializer else ():
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(node.value, ast.Call):
            aliases = [_text(each.value) for each in node.value.keywords if each.arg == "alias"]
            found[node.target.id] = aliases[0] if aliases else node.target.id
    return found


def _schema(node: ast.expr, classes: dict[str, ast.ClassDef]) -> dict[str, Any]:
    """Return the schema of an annotation; an empty one where it says nothing known."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _schema(ast.parse(node.value, mode="eval").body, classes)
    if isinstance(node, ast.BinOp):
        return {"anyOf": [_schema(node.left, classes), _schema(node.right, classes)]}
    name = _last_name(node)
    if not isinstance(node, ast.Subscript):
        if name in classes:
            return _object(classes[name], classes)
        return {"type": SCALARS[name]} if name in SCALARS else {}
    inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if name == "Literal":
        words = [each.value for each in inner if isinstance(each, ast.Constant) and each.value is not None]
        return {"type": SCALARS.get(type(words[0]).__name__, "") if words else "", "enum": words}
    if name in LISTS:
        return {"type": "array", "items": _schema(inner[0], classes)}
    if name in THROUGH:
        return _schema(inner[0], classes)
    return {"anyOf": [_schema(each, classes) for each in inner]} if name == "Union" else {}


def _last_name(node: ast.expr) -> str:
    """Return ``List`` of ``typing.List[str]``."""
    if isinstance(node, ast.Subscript):
        return _last_name(node.value)
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
