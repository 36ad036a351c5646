"""The OpenAPI document of the JSON interface, made of the same catalogue as its routes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from scriptflow.web.catalogue import LOG_STREAM, PROJECTS_VIEW, RAW_LOG, VIEWS
from scriptflow.web.views import LONGEST

if TYPE_CHECKING:
    from typing import Any

    from scriptflow.web.views import Parameter, View

_PATH_TEXTS = {
    "run": "A run: `demo-7`, its own name, a number, `last` or `last~1`.",
    "flow": "The name of a flow.",
    "task": "The name of a task, quoted whole.",
    "path": "A path as the store has it: relative to the project's folder, or absolute.",
}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["slug", "what", "why", "do"],
            "properties": {
                "slug": {"type": "string"},
                "what": {"type": "string"},
                "why": {"type": "array", "items": {"type": "string"}},
                "do": {"type": "string"},
            },
        }
    },
}
_DOCUMENT = {"type": "object", "required": ["schema"], "properties": {"schema": {"const": 1}}}
_REFUSALS = {
    "400": "A parameter cannot be so.",
    "401": "No token, or a wrong one.",
    "404": "There is no such thing.",
    "429": "Too many wrong tokens.",
    "503": "Too much at once.",
}


def document(*, actions: bool) -> dict[str, Any]:
    """Return the document; with the requests that act, where they are allowed."""
    from importlib.metadata import version

    paths: dict[str, Any] = {}
    for view in VIEWS:
        paths[_path(view)] = {"get": _operation(view, "application/json", _DOCUMENT)}
    paths[_path(LOG_STREAM)] = {"get": _operation(LOG_STREAM, "text/event-stream", {"type": "string"})}
    paths[_path(RAW_LOG)] = {"get": _operation(RAW_LOG, "text/plain", {"type": "string"})}
    for path, text in (("/events", "What changes in the store"), ("/runs/{run}/events", "What changes in one run")):
        paths[f"/api/v1{path}"] = {"get": _events(path, text)}
    for path, text in (("/health", "Whether the server works."), (PROJECTS_VIEW.path, PROJECTS_VIEW.text)):
        paths[f"/api/v1{path}"] = {"get": _plain(path, text)}
    if actions:
        for kind in ("cancel", "retry"):
            paths[f"/api/v1/runs/{{run}}/{kind}"] = {"post": _action(kind)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "scriptflow",
            "version": version("scriptflow"),
            "description": "What the pages show, as JSON. Where several projects are shown, `/p/PROJECT` stands after "
            "`/api/v1`.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": _ERROR},
        },
        "security": [{"token": []}],
    }


def _path(view: View) -> str:
    return "/api/v1" + re.sub(r":[^}]*}", "}", view.path)


def _operation(view: View, kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": view.name.replace(" ", "-"),
        "summary": view.text,
        "parameters": [*_in_path(view.path), *(_in_query(parameter) for parameter in view.parameters)],
        "responses": {"200": {"description": "Found.", "content": {kind: {"schema": schema}}}, **_refusals()},
    }


def _in_path(path: str) -> list[dict[str, Any]]:
    names = re.findall(r"{(\w+)", path)
    return [
        {"name": name, "in": "path", "required": True, "description": _PATH_TEXTS[name],
         "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST}}
        for name in names
    ]  # fmt: skip


def _in_query(parameter: Parameter) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": parameter.kind}
    if parameter.words:
        schema["enum"] = list(parameter.words)
    if parameter.kind == "integer":
        schema |= {"minimum": parameter.low, "maximum": parameter.high}
    if parameter.kind == "string" and not parameter.words:
        schema["maxLength"] = LONGEST
    if parameter.default is not None:
        schema["default"] = parameter.default
    return {"name": parameter.name, "in": "query", "description": parameter.text, "schema": schema}


def _refusals() -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {status: {"description": text, "content": content} for status, text in _REFUSALS.items()}


def _events(path: str, text: str) -> dict[str, Any]:
    return {
        "operationId": "events-of-run" if "run" in path else "events",
        "summary": f"{text}, as server-sent events: `hello`, then `change`; `gap` where some were missed.",
        "description": "Goes on after the event that `Last-Event-ID` names.",
        "parameters": [
            *_in_path(path),
            {"name": "Last-Event-ID", "in": "header", "description": "The last event you had.",
             "schema": {"type": "string", "maxLength": 64}},
        ],
        "responses": {
            "200": {"description": "Events.", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
            **_refusals(),
        },
    }  # fmt: skip


def _plain(path: str, text: str) -> dict[str, Any]:
    content = {"application/json": {"schema": _DOCUMENT}}
    return {
        "operationId": path.strip("/"),
        "summary": text,
        "responses": {"200": {"description": "Found.", "content": content}, **_refusals()},
    }


def _action(kind: str) -> dict[str, Any]:
    wish = {
        "oneOf": [
            {
                "type": "object",
                "required": ["run"],
                "additionalProperties": False,
                "properties": {"run": {"const": True}},
            },
            {
                "type": "object",
                "required": ["tasks"],
                "additionalProperties": False,
                "properties": {
                    "tasks": {
                        "type": "array", "minItems": 1, "maxItems": 1000,
                        "items": {"type": "string", "minLength": 1, "maxLength": 4000},
                    }
                },
            },
        ]
    }  # fmt: skip
    texts = {"cancel": "Stop a run, or some of its tasks.", "retry": "Run again what failed in a live run."}
    refusals = _refusals() | {
        "403": {"description": "The token may only look.", "content": _refusals()["400"]["content"]},
        "409": {"description": "The run is not live, or refused.", "content": _refusals()["400"]["content"]},
    }
    return {
        "operationId": kind,
        "summary": texts[kind],
        "parameters": _in_path("/runs/{run}"),
        "requestBody": {"required": True, "content": {"application/json": {"schema": wish}}},
        "responses": {
            "202": {"description": "Passed on.", "content": {"application/json": {"schema": _DOCUMENT}}},
            **refusals,
        },
    }
