"""Bodies of JSON with pictures as base64 text, for clients that can send nothing else."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from poise.serving.limits import Limits
from poise.serving.pictures import Sent
from poise.serving.refusals import NO_ADDRESSES, RefusedError

__all__ = ["PICTURE_FIELDS", "JsonBody", "is_address", "parse_json_body"]

#: Values of a body; each is an object of Python, and so takes far more than its letters.
_MOST_VALUES = 200_000
_BETWEEN_VALUES = b",[{"
#: Field of a body -> whether it holds several pictures, and so a list is answered.
PICTURE_FIELDS = {"image": False, "images": True}
_DATA_ADDRESS = re.compile(r"data:[^,;]*(?:;[^,;]*)*;base64,", re.IGNORECASE)
_ADDRESS = re.compile(r"\s*(?:https?|ftps?|file|s3|gs)://", re.IGNORECASE)
_FORM = '{"image": "BASE64"} or {"images": ["BASE64", ...]}; other fields are parameters'
_HOW = 'json={"image": base64.b64encode(open("photo.jpg", "rb").read()).decode()}'


class JsonBody(NamedTuple):
    """What a body says.

    Attributes:
        pictures: at least one.
        several: whether a list is to be answered.
        fields: parameter -> value, unchecked.
    """

    pictures: list[Sent]
    several: bool
    fields: dict[str, Any]


def parse_json_body(body: bytes, limits: Limits) -> JsonBody:
    """Pictures and parameters of a JSON body.

    Args:
        body: `{"image": "BASE64", PARAMETER: VALUE, ...}`, or `images` with a list. A picture may
            be a data address (`data:image/png;base64,...`), `boxes` a list or its JSON as text.
        limits: of the server.

    Raises:
        RefusedError: another form, an address instead of a picture, letters that are not base64,
            too many values or pictures.
    """
    content = _content_of(body)
    kinds = content.keys() & PICTURE_FIELDS.keys()
    if len(kinds) != 1:
        raise _wrong_body(f"the fields {', '.join(content)[:80] or 'of none'}")
    several = PICTURE_FIELDS[key := kinds.pop()]
    texts = content.pop(key) if several else [content.pop(key)]
    if not isinstance(texts, list) or not texts or not all(isinstance(t, str) for t in texts):
        raise _wrong_body(f"'{key}' that is no {'list of texts' if several else 'text'}")
    limits.check_count(len(texts))
    pictures = [Sent(f"array-{i}", _decoded(text, i)) for i, text in enumerate(texts)]
    # as in a form, values of parameters are texts; null is as good as left out
    fields = {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in content.items()
        if value is not None
    }
    return JsonBody(pictures, several, fields)


def is_address(text: str) -> bool:
    """Whether a text is an address that somebody wants fetched."""
    return _ADDRESS.match(text) is not None


def _content_of(body: bytes) -> dict[str, Any]:
    if sum(body.count(letter) for letter in _BETWEEN_VALUES) > _MOST_VALUES:
        raise RefusedError(
            413, "the JSON has too many values", expected=f"at most {_MOST_VALUES}", got="more"
        )
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _wrong_body(f"no JSON: {error}") from error
    if not isinstance(content, Mapping):
        raise _wrong_body(f"a {type(content).__name__}")
    return dict(content)


def _decoded(text: str, number: int) -> bytes:
    if is_address(text):
        raise RefusedError(
            422, "the server fetches no addresses", expected=_FORM, got=text[:80], hint=NO_ADDRESSES
        )
    begun = _DATA_ADDRESS.match(text)
    letters = text[begun.end() :] if begun else text
    try:
        # MIME breaks lines; the alphabet for addresses is base64 as well
        clean = "".join(letters.split()).translate({ord("-"): "+", ord("_"): "/"})
        return base64.b64decode(clean + "=" * (-len(clean) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RefusedError(
            422,
            f"picture {number} is not base64: {error}",
            expected=_FORM,
            got=text[:40],
            hint=_HOW,
        ) from error


def _wrong_body(got: str) -> RefusedError:
    return RefusedError(
        422, "the JSON body cannot be used", expected=_FORM, got=got[:160], hint=_HOW
    )
