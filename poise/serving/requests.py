"""Requests with pictures -> what they ask for, read within limits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from python_multipart.exceptions import FormParserError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from poise.serving.json_bodies import PICTURE_FIELDS, is_address, parse_json_body
from poise.serving.limits import Limits
from poise.serving.pictures import Sent
from poise.serving.refusals import NO_ADDRESSES, RefusedError, parameter_refusal

__all__ = [
    "ANSWERS",
    "BODY",
    "Asked",
    "DrawOptions",
    "Options",
    "PredictOptions",
    "gone",
    "read_request",
]

#: Seconds that a client has for sending its pictures.
_UPLOAD_SECONDS = 60.0
#: Fields of a form besides pictures, and letters of each.
_FIELDS, _FIELD_LETTERS = 20, 1 << 20
_HOW = (
    'curl --data-binary @photo.jpg -H "Content-Type: image/jpeg" ADDRESS, or '
    "curl -F image=@photo.jpg ADDRESS"
)
_FORM_HOW = "curl -F image=@photo.jpg ADDRESS, or curl -F images=@a.jpg -F images=@b.jpg ADDRESS"


def _fields(letters: str, others: Any) -> dict[str, Any]:
    """OpenAPI's words for a body of pictures and parameters."""
    picture = {"type": "string", "format": letters}
    fields = {"image": picture, "images": {"type": "array", "items": picture}}
    return {"schema": {"type": "object", "properties": fields, "additionalProperties": others}}


#: The body, for the page of the interface.
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": _fields("binary", {"type": "string"}),
            "application/json": _fields("byte", True),
        },
    }
}

#: Status -> when it is answered, for the same page.
ANSWERS: dict[int | str, dict[str, Any]] = {
    status: {"description": text}
    for status, text in {
        400: "the body is empty",
        401: "the token is missing or wrong",
        408: "the body came too slowly",
        413: "too many pixels, bytes or pictures",
        415: "the body is no picture, or of a kind that is not read",
        422: "a broken picture, or boxes, a parameter, a form or JSON that cannot be used",
        500: "the model failed",
        503: "the queue is full, or the server is shutting down",
    }.items()
}


class Options(BaseModel):
    """Parameters of all requests with pictures: of the address, or fields of the form."""

    model_config = ConfigDict(extra="forbid")

    boxes: str | None = Field(
        None,
        description="JSON, [[x1, y1, x2, y2], ...] in pixels of the picture, perhaps with a score; "
        "of `images` a list with one such or null for each. Without it the detector looks.",
    )
    bbox_threshold: float = Field(
        0.0, ge=0, le=1, description="People whose box has a lower score are left out."
    )


class PredictOptions(Options):
    """Parameters of `/predict`."""

    format: Literal["poise", "mmpose"] = Field(
        "poise", description="Layout of the answer: Poise's, or what MMPose's inferencer writes."
    )


class DrawOptions(Options):
    """Parameters of `/draw`."""

    type: Literal["jpeg", "png"] = Field("jpeg", description="Kind of the drawn picture.")
    style: str = Field(
        "mmpose",
        description="As --style of `poise predict`: openpose, black, no-boxes, numbers, "
        "keypoints=NAME+NAME ..., comma separated.",
    )
    keypoint_threshold: float | None = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        description="Keypoints with a lower score are not drawn; the server's own if left out.",
    )


AnyOptions = TypeVar("AnyOptions", bound=Options)


class Asked(NamedTuple, Generic[AnyOptions]):
    """What a request asks for.

    Attributes:
        pictures: at least one.
        several: whether a list is to be answered.
        options: of the address and the form.
    """

    pictures: list[Sent]
    several: bool
    options: AnyOptions


async def read_request(request: Request, options: AnyOptions, limits: Limits) -> Asked[AnyOptions]:
    """Pictures and options of a request.

    Args:
        request: of which nothing was read.
        options: of its address.
        limits: of the server.

    Raises:
        RefusedError: no pictures, too many bytes, another kind of body, a wrong option, too slow.
        ClientDisconnect: nobody is there any more.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    raw = kind in ("", "application/octet-stream") or kind.startswith("image/")
    if not raw and kind not in ("multipart/form-data", "application/json"):
        raise RefusedError(
            415,
            "the body is no picture",
            expected="Content-Type image/jpeg (or another image/...), multipart/form-data, or "
            "application/json",
            got=f"Content-Type {kind}",
            hint=_HOW,
        )
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > limits.max_bytes:
        raise _too_long(f"{announced} bytes", limits)
    limited = Request(request.scope, _limited(request.receive, limits))
    try:
        async with asyncio.timeout(_UPLOAD_SECONDS):
            if kind == "multipart/form-data":
                return await _read_form(limited, options, limits)
            body = await limited.body()
    except TimeoutError as error:
        raise RefusedError(
            408, f"the body did not come within {_UPLOAD_SECONDS:g} s", hint="send a smaller one"
        ) from error
    if not body:
        raise RefusedError(400, "the body is empty", expected="a picture", got="0 bytes", hint=_HOW)
    if not raw:
        # in a thread, as a body may be long
        found = await asyncio.to_thread(parse_json_body, body, limits)
        return Asked(found.pictures, found.several, _merged(options, found.fields))
    return Asked([Sent("array-0", body)], False, options)


def _merged(options: AnyOptions, fields: Mapping[str, str]) -> AnyOptions:
    """Options of the address and those of the body, which win."""
    try:
        return type(options).model_validate({**options.model_dump(exclude_unset=True), **fields})
    except ValidationError as error:
        raise parameter_refusal(error.errors(), type(options).model_fields) from error


def _too_long(got: str, limits: Limits) -> RefusedError:
    return RefusedError(
        413,
        "the request is too large",
        expected=f"at most {limits.max_bytes} bytes",
        got=got,
        hint="send smaller or fewer pictures, or start the server with a larger --max-bytes",
        headers={"Connection": "close"},
    )


def _limited(
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]], limits: Limits
) -> Callable[[], Awaitable[MutableMapping[str, Any]]]:
    """The same messages, as long as they do not hold too much; clients need not say a length."""
    came = 0

    async def taken() -> MutableMapping[str, Any]:
        nonlocal came
        message = await receive()
        came += len(message.get("body", b""))
        if came > limits.max_bytes:
            raise _too_long(f"{came} bytes and more", limits)
        return message

    return taken


async def _read_form(request: Request, options: AnyOptions, limits: Limits) -> Asked[AnyOptions]:
    try:
        # one more, so that too many can be told from just enough
        form = await request.form(
            max_files=limits.queue + 1, max_fields=_FIELDS, max_part_size=_FIELD_LETTERS
        )
    except HTTPException as error:
        raise _wrong_form(str(error.detail)) from error
    except FormParserError as error:  # Starlette passes it on up to 0.46
        raise _wrong_form(str(error)) from error
    try:
        return await _of_form(form, options, limits)
    finally:
        await form.close()


async def _of_form(form: FormData, options: AnyOptions, limits: Limits) -> Asked[AnyOptions]:
    files = [(key, value) for key, value in form.multi_items() if isinstance(value, UploadFile)]
    texts = {key: value for key, value in form.multi_items() if isinstance(value, str)}
    for key, _ in files:
        if key not in PICTURE_FIELDS:
            raise _wrong_form(f"a file '{key}'")
    for key in texts.keys() & PICTURE_FIELDS.keys():
        if is_address(texts[key]):
            raise _wrong_form(f"an address as '{key}'", NO_ADDRESSES)
        raise _wrong_form(f"'{key}' as a text, not as a file")
    kinds = {key for key, _ in files}
    if len(kinds) != 1 or (kinds == {"image"} and len(files) > 1):
        raise _wrong_form(f"{_count(files, 'image')} and {_count(files, 'images')}")
    limits.check_count(len(files))
    merged = _merged(options, texts)
    pictures = [
        Sent(file.filename or f"array-{i}", await file.read()) for i, (_, file) in enumerate(files)
    ]
    return Asked(pictures, PICTURE_FIELDS[next(iter(kinds))], merged)


def _count(files: list[tuple[str, UploadFile]], key: str) -> str:
    return f"{sum(name == key for name, _ in files)} files '{key}'"


def _wrong_form(got: str, hint: str = _FORM_HOW) -> RefusedError:
    return RefusedError(
        422,
        "the form cannot be used",
        expected="one file 'image', or files 'images'; other fields are parameters",
        got=got,
        hint=hint,
    )


async def gone(request: Request) -> None:
    """Return when the client has gone away; to be called when its body was read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
