"""The loads of one request: keys asked for in the same tick travel together, and no key is asked for twice.

Built on aiodataloader, one DataLoader per (loader, arguments, strong or not). Invariants: the batches of a request end with it:
`close` cancels calls that nobody awaits any more; a strong read is answered by a call that began after it was asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

from aiodataloader import DataLoader

from ..clock import Seconds
from ..errors import GatewayError
from .batch import Arguments, Loaders
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
        self._batches: dict[object, _Batch] = {}
        self._under_way: set[asyncio.Task[Any]] = set()
        self._is_closed = False

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
        return await unwrapped(self._future(loader, key, frozen(arguments), is_strong=is_strong))  # type: ignore[no-any-return]

    async def load_many(
        self,
        loader: Loader[V],
        keys: Sequence[str],
        arguments: Mapping[str, Any] | None = None,
        *,
        is_strong: bool = False,
    ) -> list[V | None]:
        """Values in the order of `keys`. Raises: GatewayError, the first failure among them."""
        chosen = frozen(arguments)
        futures = [self._future(loader, key, chosen, is_strong=is_strong) for key in keys]
        return list(await asyncio.gather(*map(unwrapped, futures)))

    async def page(
        self, pages: Pages[V], arguments: Mapping[str, Any] | None = None, *, is_strong: bool = False
    ) -> Page[V]:
        """One page of a listing; the same page is asked for once a request, unless `is_strong`."""
        chosen = frozen(arguments)
        batch = self._batch(
            (pages, chosen, is_strong), lambda: self._pages_reader(pages, is_strong=is_strong), is_memo=not is_strong
        )
        return await unwrapped(batch.load(chosen))  # type: ignore[no-any-return]

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
        futures = [self._future(source, key, chosen) for source in sources]
        said = [(source, await settled(future)) for source, future in zip(sources, futures, strict=True)]
        return self._loaders.reconciler.judge(said, rule, field=field, key=key)

    def begin(
        self,
        loader: Loader[Any],
        keys: Sequence[str],
        arguments: Mapping[str, Any] | None = None,
        *,
        is_strong: bool = False,
    ) -> Requested:
        """Ask for distinct `keys` in this very tick. For who reads many: a `load` costs a coroutine and a shield for each key."""
        return self._batch_of(loader, frozen(arguments), is_strong=is_strong).ask(keys)

    def stale(
        self, loader: Loader[V], key: str, *, arguments: Mapping[str, Any] | None = None, max_age: Seconds
    ) -> tuple[V, Seconds] | None:
        """The last known value of `key` and its age in seconds, at most `max_age`."""
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
        return partial(unwrapped, self._batch(name, lambda: read, max_batch=max_batch, is_memo=False).load(item))

    def new_generation(self) -> None:
        """After a write: forget what this request has read, and ask services rather than fresh caches from now on."""
        self._batches = {}
        self._reading = replace(self._reading, skip_fresh=True)

    async def close(self) -> None:
        """Cancel the calls that are still under way; nobody is left to read them."""
        self._is_closed = True
        under_way = list(self._under_way)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    def _future(
        self, loader: Loader[Any], key: str, arguments: Arguments, *, is_strong: bool = False
    ) -> asyncio.Future[Any]:
        return self._batch_of(loader, arguments, is_strong=is_strong).load(key)

    def _batch_of(self, loader: Loader[Any], arguments: Arguments, *, is_strong: bool) -> _Batch:
        return self._batch(
            (loader, arguments, is_strong),
            lambda: self._reader(loader, arguments, is_strong=is_strong),
            max_batch=loader.max_batch,
            is_memo=not is_strong,
        )

    def _batch(
        self,
        name: object,
        make_reader: Callable[[], Callable[[list[Any]], Coroutine[Any, Any, list[Any]]]],
        *,
        max_batch: int | None = None,
        is_memo: bool = True,
    ) -> _Batch:
        batch = self._batches.get(name)
        if batch is None:
            read = make_reader()
            batch = self._batches[name] = _Batch(
                self._tracked(read),
                max_batch_size=max_batch,
                cache=is_memo,
                loop=asyncio.get_running_loop(),
            )
        return batch

    def _reader(
        self, loader: Loader[Any], arguments: Arguments, *, is_strong: bool
    ) -> Callable[[list[str]], Coroutine[Any, Any, list[Any]]]:
        bound, reading = self._loaders.loader(loader), self._as(is_strong)

        async def read(keys: list[str]) -> list[Any]:
            distinct = list(dict.fromkeys(keys))  # without a memo a key may be asked for twice in a tick
            values = dict(zip(distinct, await bound.read(distinct, arguments, reading), strict=True))
            return [values[key] for key in keys]

        return read

    def _pages_reader(
        self, pages: Pages[Any], *, is_strong: bool
    ) -> Callable[[list[Arguments]], Coroutine[Any, Any, list[Any]]]:
        bound, reading = self._loaders.pages(pages), self._as(is_strong)

        async def read(asked: list[Arguments]) -> list[Any]:
            return [await bound.read(asked[0], reading)] * len(asked)  # all the same: the arguments are in the name

        return read

    def _as(self, is_strong: bool) -> Reading:
        return self._reading.strongly() if is_strong else self._reading

    def _tracked(
        self, read: Callable[[list[Any]], Coroutine[Any, Any, list[Any]]]
    ) -> Callable[[list[Any]], Coroutine[Any, Any, list[Any]]]:
        """`read` with its task known to `close`, and its failures as values: a future that nobody reads must not warn."""

        async def tracked(keys: list[Any]) -> list[Any]:
            if self._is_closed:  # the batch was gathered in the tick in which the request ended: nobody waits for it
                raise asyncio.CancelledError
            task = asyncio.current_task()
            if task is not None:
                self._under_way.add(task)
            try:
                return [_Failed(value) if isinstance(value, Exception) else value for value in await read(keys)]
            except Exception as error:  # becomes each waiter's own failure, raised where it is awaited
                return [_Failed(error)] * len(keys)
            finally:
                if task is not None:
                    self._under_way.discard(task)

        return tracked


class Requested(NamedTuple):
    """Keys that were asked for. The futures are shared with whoever asks for the same key: they are never cancelled."""

    futures: list[asyncio.Future[Any]]
    """One a key, in their order; `said` reads what one ended in."""
    calls: list[asyncio.Future[Any]]
    """One of each call at least: the others of that call are done when it is."""


class _Batch(DataLoader[Any, Any]):
    """The keys of one loader and set of arguments."""

    def ask(self, keys: Sequence[Any]) -> Requested:
        """Ask for distinct `keys`. Those that are new travel together, `max_batch_size` in a call, in the order of the queue."""
        before = len(self._queue)
        futures = list(map(self.load, keys))
        new = len(self._queue) - before
        if new < len(futures):  # some have been asked for before: nobody knows with whom they travel
            return Requested(futures, futures)
        size = self.max_batch_size or len(self._queue)
        return Requested(
            futures, [*futures[:1], *(futures[at - before] for at in range(before + 1, before + new) if at % size == 0)]
        )


class _Failed:
    """A failure on its way to those who wait for it."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


async def unwrapped(future: asyncio.Future[Any]) -> Any:
    """The future's value, or its failure raised afresh.

    The shield keeps one waiter's cancellation from taking the batch from the others; the traceback is cut because one error may
    be raised at a thousand places.
    """
    value = said(await asyncio.shield(future))
    if isinstance(value, Exception):
        raise value
    return value


def said(value: Any) -> Any | Exception:
    """What a future of `Loads.begin` ended in: a value of the graph, or the failure of its key."""
    return value.error.with_traceback(None) if isinstance(value, _Failed) else value


async def settled(future: asyncio.Future[Any]) -> Any | GatewayError:
    """The future's value, or its failure as one. Raises: whatever else went wrong, which is our own bug."""
    try:
        return await unwrapped(future)
    except GatewayError as error:
        return error


def frozen(arguments: Mapping[str, Any] | None) -> Arguments:
    """Arguments as a part of a batch key."""
    if not arguments:
        return ()
    return tuple((name, _frozen(value)) for name, value in sorted(arguments.items()))


def _frozen(value: Any) -> Any:
    return tuple(_frozen(each) for each in value) if isinstance(value, list) else value
