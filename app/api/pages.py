"""A part of a long list: the body stays an array, and the headers say what there is besides."""

from dataclasses import dataclass
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import Depends, Query, Request, Response

from app.api.problems import path_of

DEFAULT_LIMIT: Final = 100
LARGEST_LIMIT: Final = 1000
LARGEST_OFFSET: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Page:
    """`limit` entries from number `offset` on."""

    limit: int
    offset: int

    def describe(self, request: Request, response: Response, total: int) -> None:
        """Put X-Total-Count and Link (RFC 8288, with addresses relative to this host) on the answer."""
        response.headers["X-Total-Count"] = str(total)
        last = max(total - 1, 0) // self.limit * self.limit
        places = {"first": 0, "last": last}
        if self.offset > 0:
            places["prev"] = min(max(self.offset - self.limit, 0), last)
        if self.offset + self.limit < total:
            places["next"] = self.offset + self.limit
        others = [(key, value) for key, value in request.query_params.multi_items() if key not in {"limit", "offset"}]
        links = []
        for name in ("first", "prev", "next", "last"):
            if name in places:
                query = urlencode([*others, ("limit", self.limit), ("offset", places[name])])
                links.append(f'<{path_of(request)}?{query}>; rel="{name}"')
        response.headers["Link"] = ", ".join(links)


def _page(
    limit: Annotated[
        int, Query(ge=1, le=LARGEST_LIMIT, description="Cuántos se quieren, como máximo.")
    ] = DEFAULT_LIMIT,
    offset: Annotated[int, Query(ge=0, le=LARGEST_OFFSET, description="Cuántos se saltan antes.")] = 0,
) -> Page:
    return Page(limit, offset)


PageDep = Annotated[Page, Depends(_page)]

PAGE_HEADERS: Final[dict[str, Any]] = {
    "X-Total-Count": {"description": "Cuántos hay en total.", "schema": {"type": "integer", "minimum": 0}},
    "Link": {
        "description": "RFC 8288: dónde están la primera página, la anterior, la siguiente y la última.",
        "schema": {"type": "string"},
        "example": '</api/v1/respaldos/?limit=100&offset=100>; rel="next"',
    },
}
