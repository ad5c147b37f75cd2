"""The loads of one request: keys asked for in the same tick travel together, and no key is asked for twice.

One `Batch` per (loader, arguments, strong or not); for what batch resolvers share, aiodataloader. Invariants: the batches of a
request end with it: `close` cancels calls that nobody awaits any more; a strong read is answered by a call that began after it
was asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from aiodataloader import DataLoader

from ..clock import Seconds
from ..errors import GatewayError
from .batch import Arguments, Loaders
from .calls import Batch, Call, Loaded, Read, UnderWay, Wanted
from .loader import Loader, Page, Pages
from .reading import Reading
from .reconcile import Reconciliation
from .reconciler import Reconciled

V = TypeVar("V")
K = TypeVar("K")


class Loads:
    """The loaders of one request (one generation of them at a time)."""

    def __init__(self, loaders: Loaders, reading: Reading) -> None:
        self._loaders = loaders
        self._reading = reading
        self._batches: dict[object, Batch] = {}
        self._shared: dict[object, DataLoader[Any, Any]] = {}
        self._under_way = UnderWay()

    @property
    def reading(self) -> Reading:
        """On whose behalf, and until when, this request reads now."""
        return self._reading

    async def load(
        self, loader: Loader[V], key: str, arguments: Mapping[str, Any] | None = None, *, is_strong: bool = False
    ) -> V | None:
        """The value of one key; None where the service says that there is none. `is_strong`: what it says now.

        Raises: GatewayError, the key's own failure.
        """
        call = self._call(loader, key, frozen(arguments), is_strong=is_strong)
        found: V | None = await self._object(loader, key, call)
        return found

    async def load_many(
        self,
        loader: Loader[V],
        keys: Sequence[str],
        arguments: Mapping[str, Any] | None = None,
        *,
        is_strong: bool = False,
    ) -> list[V | None]:
        """Values in the order of `keys`. Raises: GatewayError, the first failure in that order."""
        calls = self.begin(loader, list(dict.fromkeys(keys)), arguments, is_strong=is_strong)
        return [await self._object(loader, key, calls[key]) for key in keys]

    async def page(
        self,
        pages: Pages[V],
        arguments: Mapping[str, Any] | None = None,
        *,
        is_strong: bool = False,
        wanted: Wanted = None,
    ) -> Page[V]:
        """One page of a listing; the same page is asked for once a request, unless `is_strong`. `wanted`: what will be read of its
        items, as long as nobody looks at them.
        """
        chosen = frozen(arguments)
        batch = self._batch(
            (pages, chosen, is_strong), lambda: self._page_reader(pages, is_strong=is_strong), is_strong=is_strong
        )
        page: Page[V] = await batch.ask([chosen], wanted)[chosen].value(chosen, wanted)
        return page

    async def reconcile(
        self,
        sources: Sequence[Loader[Any]],
        key: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        rule: Reconciliation,
        field: str,
    ) -> Reconciled:
        """One fact that all of `sources` tell, asked for at the same time, each in its own batch.

        Raises: GatewayError: the first source's, where all have failed; SourcesUndecided, where `rule` cannot decide.
        """
        chosen = frozen(arguments)
        calls = [self._call(source, key, chosen) for source in sources]
        said = [(source, await self._settled(source, key, call)) for source, call in zip(sources, calls, strict=True)]
        return self._loaders.reconciler.judge(said, rule, field=field, key=key)

    def begin(
        self,
        loader: Loader[Any],
        keys: Sequence[str],
        arguments: Mapping[str, Any] | None = None,
        *,
        is_strong: bool = False,
        wanted: Wanted = None,
    ) -> Mapping[str, Call]:
        """Ask for distinct `keys` in this very tick: the call that each travels in. For who reads many.

        A call's values are as they were loaded: records stand for the objects that are made of them, and have the attributes that
        were `wanted` (None: all of them).
        """
        return self._batch_of(loader, frozen(arguments), is_strong=is_strong).ask(keys, wanted)

    def stale(
        self, loader: Loader[V], key: str, *, arguments: Mapping[str, Any] | None = None, max_age: Seconds
    ) -> tuple[V | None, Seconds] | None:
        """The last known value of `key` and its age in seconds, at most `max_age`; "there is none" is a value too."""
        return self._loaders.loader(loader).stale(key, frozen(arguments), reading=self._reading, max_age=max_age)

    def batch(
        self,
        name: object,
        item: K,
        read: Callable[[list[K]], Coroutine[Any, Any, list[Any]]],
        *,
        max_batch: int | None = None,
    ) -> Callable[[], Coroutine[Any, Any, Any]]:
        """`item`'s place in the answer of `read`, which is called once for all items that are asked for in a tick under `name`.

        The item is asked for in the tick of this call; what is returned is called once the answer is waited for.
        """
        shared = self._shared.get(name)
        if shared is None:
            loop = asyncio.get_running_loop()
            shared = DataLoader(self._tracked(read), max_batch_size=max_batch, cache=False, loop=loop)
            self._shared[name] = shared
        return partial(_unwrapped, shared.load(item))

    def new_generation(self) -> None:
        """After a write: forget what this request has read, and ask services rather than fresh caches from now on."""
        self._batches = {}
        self._shared = {}
        self._reading = replace(self._reading, skip_fresh=True)

    async def close(self) -> None:
        """Cancel the calls that are still under way; nobody is left to read them."""
        await self._under_way.close()

    def _call(self, loader: Loader[Any], key: str, arguments: Arguments, *, is_strong: bool = False) -> Call:
        return self._batch_of(loader, arguments, is_strong=is_strong).ask([key])[key]

    async def _object(self, loader: Loader[Any], key: str, call: Call) -> Any:
        """The key's value as resolvers know it, the same each time. Raises: GatewayError, the key's own failure."""
        value = await call.value(key)
        if key not in call.objects:
            call.objects[key] = self._loaders.loader(loader).object_of(value)
        return call.objects[key]

    async def _settled(self, loader: Loader[Any], key: str, call: Call) -> Any | GatewayError:
        """The key's value, or its failure as one. Raises: whatever else went wrong, which is our own bug."""
        try:
            return await self._object(loader, key, call)
        except GatewayError as error:
            return error

    def _batch_of(self, loader: Loader[Any], arguments: Arguments, *, is_strong: bool) -> Batch:
        name = (loader, arguments, is_strong)
        return self._batch(
            name,
            lambda: self._reader(loader, arguments, is_strong=is_strong),
            is_strong=is_strong,
            max_batch=loader.max_batch,
        )

    def _batch(
        self, name: object, reader: Callable[[], Read], *, is_strong: bool, max_batch: int | None = None
    ) -> Batch:
        batch = self._batches.get(name)
        if batch is None:
            batch = Batch(reader(), self._under_way, max_batch=max_batch, remembers=not is_strong)
            self._batches[name] = batch
        return batch

    def _reader(self, loader: Loader[Any], arguments: Arguments, *, is_strong: bool) -> Read:
        bound, reading = self._loaders.loader(loader), self._as(is_strong)
        return lambda keys, wanted: bound.read(keys, arguments, reading, wanted)

    def _page_reader(self, pages: Pages[Any], *, is_strong: bool) -> Read:
        bound, reading = self._loaders.pages(pages), self._as(is_strong)

        def read(asked: list[Arguments], wanted: Wanted) -> Coroutine[Any, Any, Loaded]:
            (chosen,) = asked  # the only one: the arguments are in the name
            return bound.read(chosen, reading, wanted)

        return read

    def _as(self, is_strong: bool) -> Reading:
        return self._reading.strongly() if is_strong else self._reading

    def _tracked(
        self, read: Callable[[list[Any]], Coroutine[Any, Any, list[Any]]]
    ) -> Callable[[list[Any]], Coroutine[Any, Any, list[Any]]]:
        """`read` with its task known to `close`, and its failures as values: a future that nobody reads must not warn."""

        async def tracked(keys: list[Any]) -> list[Any]:
            if self._under_way.is_closed:  # it was gathered in the tick in which the request ended: nobody waits for it
                raise asyncio.CancelledError
            task = asyncio.current_task()
            if task is not None:
                self._under_way.add(task)
            try:
                return [_Failed(value) if isinstance(value, Exception) else value for value in await read(keys)]
            except Exception as error:  # becomes each waiter's own failure, raised where it is awaited
                return [_Failed(error)] * len(keys)

        return tracked


class _Failed:
    """A failure on its way to those who wait for it."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


async def _unwrapped(future: asyncio.Future[Any]) -> Any:
    """The future's value, or its failure raised afresh.

    The shield keeps one waiter's cancellation from taking the batch from the others; the traceback is cut because one error may
    be raised at a thousand places.
    """
    value = await asyncio.shield(future)
    if isinstance(value, _Failed):
        raise value.error.with_traceback(None)
    return value


def frozen(arguments: Mapping[str, Any] | None) -> Arguments:
    """Arguments as a part of a batch key."""
    if not arguments:
        return ()
    return tuple((name, _frozen(value)) for name, value in sorted(arguments.items()))


def _frozen(value: Any) -> Any:
    return tuple(_frozen(each) for each in value) if isinstance(value, list) else value
