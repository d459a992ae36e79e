"""Routes that name what they need: nobody gets to a handler that he may not call, and no answer goes untold.

`Routes` takes no route without a permission. Before a handler runs, the caller is found and asked for that permission;
after it, an answer about a patient that left no entry in the trail is turned into an error (`check_told`). So a route
that is added later is closed until somebody says who may use it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Final, Literal, TypeVar

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.routing import APIRoute
from sqlalchemy import Connection
from starlette.routing import BaseRoute

from insula.serve.api import problem
from insula.serve.faults import RequestError
from insula.serve.people.caller import Caller
from insula.serve.people.roles import Permission
from insula.serve.service import Service
from insula.serve.store.connect import reading, writing

F = TypeVar("F", bound=Callable[..., Any])
OPEN: Final = "open"  # a route that anybody may call: logging in, health, the description
SELF: Final = "self"  # a route of one's own account, for whoever has shown who he is
Need = Permission | Literal["self"]
_NEEDS: Final = "x-permission"
_QUIET: Final = "x-quiet"


class Act:
    """What a handler does on behalf of its caller, and tells the trail of."""

    def __init__(self, service: Service, caller: Caller, request: Request) -> None:
        self.service = service
        self.caller = caller
        self.request = request

    @contextmanager
    def write(self, action: str, subject: str = "", **detail: Any) -> Iterator[Connection]:
        """One transaction that ends with its entry in the trail: both are kept, or neither is.

        The handler may add to the entry while it works, by `told(subject=…, …)`.
        """
        self._subject, self._detail = subject, dict(detail)
        with writing(self.service.records) as connection:
            yield connection
            self.service.tell(connection, self.caller.name, action, self._subject, self._detail)
        self.request.state.told = True

    @contextmanager
    def read(self, action: str, subject: str = "", **detail: Any) -> Iterator[Connection]:
        """A view of the records; what was seen is told to the trail before the handler can answer."""
        self._subject, self._detail = subject, dict(detail)
        with reading(self.service.records) as connection:
            yield connection
        with writing(self.service.records) as connection:
            self.service.tell(connection, self.caller.name, action, self._subject, self._detail)
        self.request.state.told = True

    @contextmanager
    def look(self) -> Iterator[Connection]:
        """A view of records that tell of no patient; nothing is told."""
        with reading(self.service.records) as connection:
            yield connection

    def told(self, subject: str = "", **detail: Any) -> None:
        """Add to the entry that `write` or `read` will make."""
        self._subject = subject or self._subject
        self._detail |= detail

    _subject: str = ""
    _detail: dict[str, Any]


def act(request: Request) -> Act:
    """The act of this request, made by the guard before the handler runs."""
    found: Act = request.state.act
    return found


Acting = Annotated[Act, Depends(act)]


class Routes:
    """A router of which each route names its permission.

    quiet routes tell of no patient and leave no entry in the trail: the state of a job, the list of models.
    """

    def __init__(self, service: Service, prefix: str, tag: str) -> None:
        self.service = service
        self.router = APIRouter(prefix=prefix, tags=[tag])

    def get(self, path: str, needs: Need, **more: Any) -> Callable[[F], F]:
        """A route that reads."""
        return self._add("GET", path, needs, **more)

    def post(self, path: str, needs: Need, **more: Any) -> Callable[[F], F]:
        """A route that makes something."""
        return self._add("POST", path, needs, **more)

    def patch(self, path: str, needs: Need, **more: Any) -> Callable[[F], F]:
        """A route that changes something."""
        return self._add("PATCH", path, needs, **more)

    def put(self, path: str, needs: Need, **more: Any) -> Callable[[F], F]:
        """A route that sets something."""
        return self._add("PUT", path, needs, **more)

    def delete(self, path: str, needs: Need, **more: Any) -> Callable[[F], F]:
        """A route that ends something."""
        return self._add("DELETE", path, needs, **more)

    def open(self, method: str, path: str, **more: Any) -> Callable[[F], F]:
        """A route that anybody may call; it asks and tells by itself."""
        return self._route(method, path, OPEN, (), True, **more)

    def _add(self, method: str, path: str, needs: Need, quiet: bool = False, **more: Any) -> Callable[[F], F]:
        return self._route(method, path, needs, (Depends(admits(self.service, needs)),), quiet, **more)

    def _route(
        self, method: str, path: str, needs: str, guards: tuple[Any, ...], quiet: bool, statuses: tuple[int, ...] = (),
        **more: Any,
    ) -> Callable[[F], F]:  # fmt: skip
        said: dict[str, Any] = {**more.pop("openapi_extra", {}), **extra(needs, quiet)}
        refusals: Mapping[int | str, Any] = {**problem.responses(*statuses), **more.pop("responses", {})}
        decorate: Callable[[F], F] = self.router.api_route(
            path, methods=[method], dependencies=list(guards), openapi_extra=said, responses=dict(refusals), **more
        )
        return decorate


def extra(needs: str, quiet: bool) -> dict[str, Any]:
    """What a route's description says of who may call it."""
    return {_NEEDS: needs, _QUIET: quiet}


def admits(service: Service, needs: Need) -> Callable[[Request], None]:
    """What stands before a handler: finds the caller, asks for the permission, and gives the handler its act."""

    def admit(request: Request) -> None:
        caller = service.caller(request)
        request.state.act = Act(service, caller, request)
        if needs != SELF and not caller.may(needs):
            raise RequestError(403, "forbidden", f"This needs the permission '{needs}', which you lack; ask an admin.")

    return admit


def permission_of(route: BaseRoute) -> str | None:
    """What a route needs; OPEN for anybody; None where nobody said, so that it must not be served."""
    if not isinstance(route, APIRoute):
        return None
    found = (route.openapi_extra or {}).get(_NEEDS)
    return str(found) if found else None


def is_quiet(route: BaseRoute | None) -> bool:
    """Whether a route tells of no patient."""
    return isinstance(route, APIRoute) and bool((route.openapi_extra or {}).get(_QUIET))


def check_routes(app: FastAPI, also_open: frozenset[str] = frozenset()) -> None:
    """Raise AssertionError for a route that does not say who may call it, before the service listens.

    also_open: paths of routes outside `Routes` that anybody may call. Parts of an application that are mounted or
    included are refused, since what is behind them cannot be seen here.
    """
    for route in app.routes:
        path = str(getattr(route, "path", route))
        if path not in also_open and permission_of(route) is None:  # a mounted or included part names none either
            raise AssertionError(f"the route {path} names no permission; add it through Routes")
