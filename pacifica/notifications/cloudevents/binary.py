"""Binary mode (CloudEvents HTTP binding 1.0.2, section 3.1): attributes in headers, data as the body."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from .. import documents
from ..errors import InvalidBody, InvalidEvent
from . import headers, media
from .versions import ATTRIBUTES_OF_0_1, NAMES, Names, version_of

#: The attributes of 0.1 by their names in headers.
_OF_0_1 = {name.lower(): name for name in ATTRIBUTES_OF_0_1}
#: Versions in which a header's value is JSON, or was by those who went by the version before.
_OF_JSON = ("0.1", "0.2", "0.3")
_VERSIONS = ("specversion", "cloudEventsVersion")
#: Those whose values are texts; of another header in 0.1 and 0.2 the value is any JSON.
_TEXTS = {*_OF_0_1, "specversion", "type", "id", "time", "schemaurl", "cloudeventsversion"}
#: What ``datacontenttype`` was called.
_TYPE_OF_DATA = {"0.1": "contenttype", "0.2": "contenttype"}
_NO_HEADER = "is no header of a CloudEvent: the type of the data stands in Content-Type"


def read(fields: Mapping[str, str], content_type: str, body: bytes, max_depth: int) -> tuple[str, dict[str, Any]]:
    """Give the structured form of an event in binary mode, as text and as value; ``data`` stays byte for byte.

    ``fields`` are as for ``events.parse_binary``. Raises ``InvalidEvent`` that names every fault of the headers.
    """
    attributes = _attributes(fields, max_depth)
    has_version = not attributes.keys().isdisjoint(_VERSIONS)
    version = version_of(attributes) if has_version else "1.0"
    names = NAMES[version]
    missing = [name for name in names.required if attributes.get(name) is None]
    if missing:
        raise InvalidEvent({f"/{name}": f"is required: send the header ce-{name.lower()}" for name in missing})
    if content_type:
        attributes[names.content_type] = content_type
    data = _data(version, names, attributes, body, max_depth) if body else {}
    members = [f"{_json(name)}:{_json(value)}" for name, value in attributes.items()]
    members += [f"{_json(name)}:{text}" for name, (text, _value) in data.items()]
    return "{" + ",".join(members) + "}", attributes | {name: value for name, (_text, value) in data.items()}


def _attributes(fields: Mapping[str, str], max_depth: int) -> dict[str, Any]:
    """Decode the headers, those of 0.1 under their own names."""
    found: dict[str, Any] = {}
    faults: dict[str, str] = {}
    old = "cloudeventsversion" in fields
    said = "0.1" if old else fields.get("specversion", "").strip(' \t"')
    for field, raw in fields.items():
        try:
            is_json = said in _OF_JSON
            # An extension of 0.1 is two deep in the structured form.
            value = _of_json(raw, said, field not in _TEXTS, max_depth - 2) if is_json else headers.decode(raw)
            if field == _TYPE_OF_DATA.get(said, "datacontenttype"):
                raise ValueError(_NO_HEADER)
            _put(found, field, value, old)
        except ValueError as error:
            faults[f"/{documents.escape(field)}"] = f"{error} (header ce-{field})"
    if faults:
        raise InvalidEvent(faults)
    return found


def _put(found: dict[str, Any], field: str, value: Any, old: bool) -> None:
    if field == "data":
        raise ValueError("is no header of a CloudEvent: the data is the body")
    if not old:
        found[field] = value
    elif field.startswith("x-"):
        found.setdefault("extensions", {})[field[2:]] = value
    elif field in _OF_0_1:
        found[_OF_0_1[field]] = value
    else:
        raise ValueError("is no attribute of CloudEvents 0.1; an extension is sent as CE-X-NAME")


def _of_json(raw: str, version: str, any_value: bool, max_depth: int) -> Any:
    """Give the value of a header that is JSON and then percent-encoded (HTTP binding 0.1 and 0.2, section 3.1.3.2).

    Many senders leave the quotation marks of a string out, as 0.3 does; that is taken as well. In 0.3 a mark that is
    percent-encoded is a part of the string.
    """
    raw = raw.strip(" \t")
    text = headers.unpercented(raw)
    marked = (raw if version == "0.3" else text).startswith('"')
    if not marked and (version == "0.3" or not any_value):
        return text
    try:
        return documents.read(text.encode(), max_depth)
    except InvalidBody as error:
        if not marked and text[:1] not in ("{", "["):
            return text
        raise ValueError(f"is no JSON value: {error}") from None


def _data(
    version: str, names: Names, attributes: Mapping[str, Any], body: bytes, max_depth: int
) -> dict[str, tuple[str, Any]]:
    """Give the members for a body that is not empty, each as text and as value."""
    encoding = version == "0.3" and "datacontentencoding" in attributes
    kind = media.kind(attributes.get(names.content_type, ""))
    if kind == "json" and not encoding:
        value = _json_value(body, max_depth)
        return {"data": (body.decode(), value)}
    if kind == "text" or encoding:
        try:
            text = body.decode()
            return {"data": (_json(text), text)}
        except UnicodeDecodeError as error:
            if version != "1.0":
                message = f"must be UTF-8, byte {error.start} is not; say in Content-Type which charset it is"
                raise InvalidEvent({"/data": message}) from None
    encoded = base64.b64encode(body).decode()
    if version == "1.0":
        return {"data_base64": (_json(encoded), encoded)}
    marked = {"datacontentencoding": (_json("base64"), "base64")} if version == "0.3" else {}
    return marked | {"data": (_json(encoded), encoded)}


def _json_value(body: bytes, max_depth: int) -> Any:
    try:
        return documents.read(body, max_depth - 1)
    except InvalidBody as error:
        faults = error.faults or {"": str(error)}
        raise InvalidEvent({f"/data{pointer}": message for pointer, message in faults.items()}) from None


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
