"""`Service`: the author's handle on a service, from which loaders, listings and commands are declared.

A handle is a name and nothing else; the application binds it to an address and a policy stack (`[services.NAME]` in
gateway.toml). So a graph can be imported, printed and checked without any service being there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, overload

from ..clock import duration
from ..services import Command, Sharing
from .loader import Loader, Page, Pages, Shape

T = TypeVar("T")
R = TypeVar("R")

SharingName = Literal["public", "tenant", "identity"]


@dataclass(frozen=True, slots=True)
class Service:
    """A service by name."""

    name: str

    @overload
    def loader(
        self,
        path: str,
        *,
        keys: str,
        key: str,
        into: type[T],
        many: Literal[True],
        record: type[R] | None = None,
        to: Callable[[R], T] | None = None,
        fields: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        method: Literal["GET", "POST"] = "GET",
        envelope: str | None = None,
        max_batch: int = 100,
        fresh: str | float = 0,
        revalidate: str | float = 0,
        shared: SharingName = "identity",
    ) -> Loader[list[T]]: ...
    @overload
    def loader(
        self,
        path: str,
        *,
        keys: str,
        key: str,
        into: type[T],
        page: Literal[True],
        max_page: int = 1_000,
        record: type[R] | None = None,
        to: Callable[[R], T] | None = None,
        fields: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        method: Literal["GET", "POST"] = "GET",
        envelope: str | None = None,
        max_batch: int = 100,
        fresh: str | float = 0,
        revalidate: str | float = 0,
        shared: SharingName = "identity",
    ) -> Loader[Page[T]]: ...
    @overload
    def loader(
        self,
        path: str,
        *,
        keys: str,
        key: str,
        into: type[T],
        record: type[R] | None = None,
        to: Callable[[R], T] | None = None,
        fields: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        method: Literal["GET", "POST"] = "GET",
        envelope: str | None = None,
        max_batch: int = 100,
        fresh: str | float = 0,
        revalidate: str | float = 0,
        shared: SharingName = "identity",
    ) -> Loader[T]: ...
    def loader(
        self,
        path: str,
        *,
        keys: str,
        key: str,
        into: type[Any],
        many: bool = False,
        page: bool = False,
        max_page: int = 1_000,
        record: type[Any] | None = None,
        to: Callable[[Any], Any] | None = None,
        fields: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        method: Literal["GET", "POST"] = "GET",
        envelope: str | None = None,
        max_batch: int = 100,
        fresh: str | float = 0,
        revalidate: str | float = 0,
        shared: SharingName = "identity",
    ) -> Loader[Any]:
        """Declare a batch endpoint.

        The payload is a list of records (within `envelope`, if named); `key` is the payload's field that names the key a
        record answers. One record a key; with `many` any number; with `page` one `{key, items, nextCursor, total}` a key,
        of at most `max_page` items, which is the most that is ever asked for.
        `fresh` is how long an answer may be served again, `revalidate` how much longer it may be while it is asked for anew in the
        background; `shared` says with whom (public answers are fetched without any
        identity header). Cost: ceil(distinct keys / max_batch) calls per layer and argument set.
        """
        if max_batch < 1:
            raise ValueError(f"{self.name} {path}: max_batch must be at least 1, not {max_batch}")
        return Loader(
            service=self.name,
            path=path,
            shape=Shape(into=into, record=record, to=to, fields=fields or {}),
            keys=keys,
            key=key,
            method=method,
            many=many,
            page=page,
            params=params or {},
            envelope=envelope,
            max_batch=max_batch,
            max_page=max_page,
            fresh=duration(fresh),
            revalidate=duration(revalidate),
            sharing=Sharing(shared),
        )

    def pages(
        self,
        path: str,
        *,
        into: type[T],
        params: Mapping[str, str],
        record: type[R] | None = None,
        to: Callable[[R], T] | None = None,
        fields: Mapping[str, str] | None = None,
        items: str = "items",
        cursor: str = "nextCursor",
        total: str = "total",
        max_page: int = 1_000,
        fresh: str | float = 0,
        revalidate: str | float = 0,
        shared: SharingName = "identity",
    ) -> Pages[T]:
        """Declare a listing endpoint: `params` maps the graph's argument names to the query parameters.

        `max_page`: items that the service gives at once, the most that is ever asked for. `fresh` and `revalidate` as of a loader.
        """
        return Pages(
            service=self.name,
            path=path,
            shape=Shape(into=into, record=record, to=to, fields=fields or {}),
            params=params,
            items=items,
            cursor=cursor,
            total=total,
            max_page=max_page,
            fresh=duration(fresh),
            revalidate=duration(revalidate),
            sharing=Sharing(shared),
        )

    def command(
        self,
        method: Literal["POST", "PUT", "PATCH", "DELETE"],
        path: str,
        *,
        into: type[T],
        rejects: Mapping[str, str] | None = None,
        attempt_timeout: str | float | None = None,
    ) -> Command[T]:
        """Declare a write, for the steps of sagas.

        `rejects` maps the service's own refusal codes that are a business "no" to the message which the client reads; any
        other refusal is a failure.
        """
        return Command(
            service=self.name,
            method=method,
            path=path,
            into=into,
            rejects=rejects or {},
            attempt_timeout=None if attempt_timeout is None else duration(attempt_timeout),
        )
