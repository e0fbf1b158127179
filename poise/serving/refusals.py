"""What a client is told when it gets no poses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from poise.errors import PoiseError, nearest

__all__ = ["NO_ADDRESSES", "RefusedError", "parameter_refusal"]

#: Why there is no parameter for an address, and what there is.
NO_ADDRESSES = (
    "pictures come in the body of a POST; the server fetches no addresses, as it could be made to "
    "ask for what only it can reach. curl --data-binary @photo.jpg -H "
    '"Content-Type: image/jpeg" ADDRESS'
)
#: Parameters by which other servers are told an address.
_ADDRESS_NAMES = ("url", "urls", "uri", "image_url", "image_urls", "image_uri")
#: Letters of what came that are told back.
_LONGEST = 80


class RefusedError(PoiseError):
    """An answer other than poses.

    Args:
        status: of HTTP.
        error: what is wrong, in a sentence.
        expected: what the server takes.
        got: what came.
        hint: what to try.
        headers: of the answer.
    """

    def __init__(
        self,
        status: int,
        error: str,
        *,
        expected: str | None = None,
        got: str | None = None,
        hint: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(error)
        self.status, self.headers = status, dict(headers or {})
        self._rest = {"expected": expected, "got": got, "try": hint}

    def content(self) -> dict[str, str]:
        """`error`, and those of `expected`, `got` and `try` that are known."""
        known = {key: text for key, text in self._rest.items() if text is not None}
        return {"error": str(self), **known}

    def text(self) -> str:
        """The same in one text."""
        known = [f"{key} {text}" for key, text in self._rest.items() if text is not None]
        return "; ".join((str(self), *known))


def parameter_refusal(faults: Sequence[Mapping[str, Any]], known: Iterable[str]) -> RefusedError:
    """RefusedError of parameters.

    Args:
        faults: what pydantic says of them; the first one counts.
        known: names of parameters that there are.
    """
    fault, known = faults[0], list(known)
    name = str(fault["loc"][-1])
    if fault["type"] == "extra_forbidden":
        return RefusedError(
            422,
            f"there is no parameter '{name}'{nearest(name, known)}",
            expected=f"some of {', '.join(known)}" if known else "no parameters",
            got=name,
            hint=NO_ADDRESSES if name in _ADDRESS_NAMES else None,
        )
    value = repr(fault.get("input"))
    return RefusedError(
        422,
        f"the parameter {name} cannot be used",
        expected=str(fault["msg"]).removeprefix("Input should be "),
        got=value if len(value) <= _LONGEST else f"{value[:_LONGEST]}...",
    )
