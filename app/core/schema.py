"""A small part of JSON Schema (2020-12): enough to hold a model to the shape it was asked for.

Checked: type, required, properties, additionalProperties false, items, enum, const. Other keywords are not checked:
a schema with them is accepted, and what they forbid passes.
"""

from __future__ import annotations

from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "number": (int, float),
    "integer": (int,),
    "null": (type(None),),
}


def violation(value: Any, schema: Any, path: str = "$") -> str | None:
    """The first way in which ``value`` breaks ``schema``, with its place; None where it keeps it.

    Values of the model are not quoted: the sentence is for a reason that is grouped by and shown.
    """
    if not isinstance(schema, dict):
        return f"{path}: not allowed" if schema is False else None
    wanted = schema.get("type")
    if wanted is not None and not _is_of(value, wanted if isinstance(wanted, list) else [wanted]):
        return f"{path}: not of type {wanted if isinstance(wanted, str) else ' or '.join(map(str, wanted))}"
    if isinstance(schema.get("enum"), list) and not any(_same(value, option) for option in schema["enum"]):
        return f"{path}: not one of the allowed values"
    if "const" in schema and not _same(value, schema["const"]):
        return f"{path}: not the required value"
    if isinstance(value, dict):
        return _object_violation(value, schema, path)
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            wrong = violation(item, schema["items"], f"{path}[{index}]")
            if wrong is not None:
                return wrong
    return None


def _object_violation(value: dict[str, Any], schema: dict[str, Any], path: str) -> str | None:
    for key in schema.get("required") or ():
        if key not in value:
            return f"{path}.{key}: missing"
    properties = schema.get("properties")
    known = properties if isinstance(properties, dict) else {}
    extra = schema.get("additionalProperties", True)
    for key, item in value.items():
        if key in known:
            wrong = violation(item, known[key], f"{path}.{key}")
        elif extra is False:
            return f"{path}: a property that the schema does not name"
        else:
            wrong = violation(item, extra, f"{path}.*")
        if wrong is not None:
            return wrong
    return None


def _is_of(value: Any, names: list[Any]) -> bool:
    for name in names:
        kinds = _TYPES.get(name)
        if kinds is None:
            return True  # a type we do not know is not ours to refuse
        if isinstance(value, kinds) and not (isinstance(value, bool) and bool not in kinds):
            return True
    return False


def _same(value: Any, option: Any) -> bool:
    """JSON equality: true is not 1."""
    return isinstance(value, bool) == isinstance(option, bool) and bool(value == option)
