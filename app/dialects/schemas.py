"""JSON Schemas as vendors take them. What a vendor cannot hold a model to, the prompt asks for all the same.

Sources: platform.openai.com/docs/guides/structured-outputs (strict mode), docs.claude.com structured outputs.
"""

from __future__ import annotations

from typing import Any

NAME = "answer"
"""What a schema is called where the protocol wants a name."""


def bare(schema: dict[str, Any]) -> dict[str, Any]:
    """Without ``$schema``, which Hugging Face's and Mistral's checks refuse as unknown."""
    return {name: part for name, part in schema.items() if name != "$schema"} if "$schema" in schema else schema


def closed(schema: Any) -> bool:
    """Does every object in it forbid further properties? Anthropic and OpenAI's strict mode demand that."""
    return _everywhere(schema, all_required=False)


def strict(schema: Any) -> bool:
    """Closed, and every property required: what OpenAI's strict mode takes."""
    return _everywhere(schema, all_required=True)


def _everywhere(schema: Any, *, all_required: bool) -> bool:
    if isinstance(schema, list):
        return all(_everywhere(part, all_required=all_required) for part in schema)
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    named = properties if isinstance(properties, dict) else {}
    if named or schema.get("type") == "object":
        required = schema.get("required")
        if schema.get("additionalProperties") is not False:
            return False
        if all_required and not set(named) <= set(required if isinstance(required, list) else ()):
            return False
    parts = [*named.values(), *(schema.get(name) for name in ("items", "anyOf", "allOf", "oneOf", "prefixItems"))]
    for definitions in (schema.get("$defs"), schema.get("definitions")):
        parts += definitions.values() if isinstance(definitions, dict) else ()
    return all(_everywhere(part, all_required=all_required) for part in parts)
