"""What a declaration and the settings of its service make of one call: how often it is tried, how long it may take, who shares it.

Invariant: what is said here is what the stack does (`gateway/services/stack.py`); a policy that changes changes here too, and the
tests compare both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...clock import Seconds
from ...loading import Loader, Pages, Service
from ...services import Command, ServiceConfig, Sharing
from .explanation import Call, ExplainedService
from .named import Declaration, Named


class ServiceMissing(LookupError):
    """The graph names a service that has no settings."""


@dataclass(frozen=True, slots=True)
class Calls:
    """Makes calls; knows how each service is called."""

    configs: Mapping[str, ServiceConfig]

    def of_loader(
        self, loader: Loader[Any], *, question: int, has_many_keys: bool, arguments: Mapping[str, str] | None
    ) -> Call:
        """A batch. `arguments`: by the loader's own names; None where Python says which."""
        return replace(
            self._read(loader, question=question),
            max_batch=loader.max_batch,
            keys=loader.keys,
            has_many_keys=has_many_keys,
            max_page=loader.max_page if loader.page else None,
            arguments=None if arguments is None else {loader.params[name]: each for name, each in arguments.items()},
        )

    def of_named(self, named: Named, *, question: int) -> Call:
        """What code that reads may call: it says with which keys and arguments while it runs."""
        declaration = named.declaration
        if isinstance(declaration, Loader):
            call = self.of_loader(declaration, question=question, has_many_keys=True, arguments=None)
        elif isinstance(declaration, Pages):
            call = replace(self._read(declaration, question=question), max_page=declaration.max_page)
        else:
            call = self._spoken(declaration, question=question)
        return replace(call, declared=named.name, one_of=named.table)

    def strongly(self, call: Call) -> Call:
        """The same read where only what the service says now will do."""
        return replace(call, fresh=Seconds(0.0), revalidate=Seconds(0.0), is_hedged=False, is_coalesced=False)

    def of_step(self, named: Named, *, question: int) -> Call:
        """What a saga's step calls: once an attempt, since the saga itself repeats, and never from a cache."""
        call = self.of_named(named, question=question)
        once = self._longest(call.service, attempts=1, timeout=call.attempt_timeout, is_critical=True)
        return replace(
            call,
            attempts=1,
            longest=once,
            headers=(),
            fresh=None if call.fresh is None else Seconds(0.0),
            revalidate=None if call.revalidate is None else Seconds(0.0),
            is_coalesced=False,
        )

    def service(self, name: str, *, is_discovered: bool) -> ExplainedService:
        config = self.config(name)
        return ExplainedService(
            name=name,
            instances=None if is_discovered else len(config.instances),
            fallback_instances=len(config.fallback),
            attempt_timeout=config.attempt_timeout,
            attempt_timeout_floor=config.attempt_timeout_floor,
            retry_attempts=config.retry.attempts,
            retry_base=config.retry.base,
            retry_cap=config.retry.cap,
            budget_ratio=config.budget.ratio,
            hedge_quantile=config.hedge.quantile if config.hedge.enabled else None,
            breaker_consecutive=config.breaker.consecutive,
            breaker_ratio=config.breaker.ratio,
            breaker_volume=config.breaker.volume,
            breaker_window=config.breaker.window,
            breaker_open_for=config.breaker.open_for,
            breaker_open_cap=config.breaker.open_cap,
            breaker_per=config.breaker.per,
            bulkhead_limit=config.bulkhead.limit,
            bulkhead_queue=config.bulkhead.longest_queue,
            bulkhead_wait=config.bulkhead.wait,
            bulkhead_is_adaptive=config.bulkhead.adaptive,
            coalesces=config.coalesce,
            send_headers=config.send_headers,
        )

    def config(self, service: str) -> ServiceConfig:
        """Raises: ServiceMissing."""
        if service not in self.configs:
            raise ServiceMissing(
                f"the graph calls {service!r}, which gateway.toml does not have: add [services.{service}]"
            )
        return self.configs[service]

    def _read(self, declared: Loader[Any] | Pages[Any], *, question: int) -> Call:
        config = self.config(declared.service)
        return Call(
            service=declared.service,
            endpoint=declared.endpoint,
            declared=declared.name,
            question=question,
            fresh=declared.fresh,
            revalidate=declared.revalidate,
            sharing=declared.sharing.value,
            headers=() if declared.sharing is Sharing.PUBLIC else config.send_headers,
            attempts=config.retry.attempts,
            attempt_timeout=config.attempt_timeout,
            is_hedged=config.hedge.enabled,
            is_coalesced=config.coalesce,
            longest=self._longest(declared.service, attempts=config.retry.attempts, timeout=config.attempt_timeout),
        )

    def _spoken(self, declared: Command[Any] | Service, *, question: int) -> Call:
        """A write, or HTTP by hand: what is not known to be safe is not repeated, so attempts are counted as for a read."""
        name = declared.service if isinstance(declared, Command) else declared.name
        config = self.config(name)
        own = declared.attempt_timeout if isinstance(declared, Command) else None
        timeout = config.attempt_timeout if own is None else own
        return Call(
            service=name,
            endpoint=declared.endpoint if isinstance(declared, Command) else None,
            declared=name,
            question=question,
            attempts=config.retry.attempts,
            attempt_timeout=timeout,
            longest=self._longest(name, attempts=config.retry.attempts, timeout=timeout),
        )

    def _longest(self, service: str, *, attempts: int, timeout: Seconds, is_critical: bool = False) -> Seconds:
        """Every attempt cut after a full wait for its permit, and the longest wait before each of the others."""
        config = self.config(service)
        permit = config.bulkhead.critical_wait if is_critical else config.bulkhead.wait
        waits = sum(config.retry.wait(failed, jitter=1.0, floor=Seconds(0.0)) for failed in range(1, attempts))
        return Seconds(attempts * (timeout + permit) + waits)


def service_of(declaration: Declaration) -> str:
    """The name of the service that is called."""
    return declaration.name if isinstance(declaration, Service) else declaration.service
