"""What can go wrong in the policies, one table a file."""

from __future__ import annotations

from tests.mutants.mutant import Faults, Mutant, mutants_of

_SERVICES = "tests/unit/services"

COALESCE: Faults = (
    (
        "the sharing scope is no part of the key",
        "        request.share,\n        request.method,",
        "        request.method,",
    ),
    ("the path is no part of the key", "        request.path,\n", ""),
    ("the query is no part of the key", "        request.query,\n", ""),
    ("headers are no part of the key", "        request.headers,\n", ""),
    ("the body is no part of the key", "        request.body,\n", ""),
    ("what is critical shares the fate of what is sheddable", "        request.priority,\n", ""),
    ("who may not retry shares retries", "        request.may_retry,\n", ""),
    ("writes are coalesced", "request.share is None or not request.is_safe or", "request.share is None or"),
    ("a read with injected faults is everybody's", " or request.faults is not None or", " or"),
    (
        "a leader's deadline is everybody's",
        "        except DeadlineExceeded:\n            raise  # the deadline is this caller's; the others may have more time\n",
        "",
    ),
    (
        "those who wait for a leader that left wait for ever",
        "if waited_for is not None:",
        "if waited_for is not None and ending is not None:",
    ),
    (
        "who shares a call waits past its own deadline",
        "        async with deadline.scope():\n            return await",
        "        return await",
    ),
    ("one waiter's cancellation is everybody's", "await asyncio.shield(future)", "await future"),
)

RETRY: Faults = (
    ("a write without a key is repeated", "request.may_retry and request.is_retryable", "request.may_retry"),
    ("who repeats by itself is repeated", "request.may_retry and request.is_retryable", "request.is_retryable"),
    (
        "the budget is told, not asked",
        "if wait is not None and not budget.withdraw(clock.now()):",
        "if wait is not None and budget.withdraw(clock.now()) is None:",
    ),
    ("first attempts earn no budget", "            budget.deposit(clock.now())\n", ""),
    ("a local refusal is repeated", " or is_local_refusal(error)", ""),
    ("what is hopeless is repeated", "or not error.retryable or", "or"),
    ("one attempt too many", "if failed >= self.attempts", "if failed > self.attempts"),
    (
        "Retry-After is a ceiling",
        "Seconds(max(floor, upper * jitter))",
        "Seconds(min(floor, upper * jitter) if floor else upper * jitter)",
    ),
    (
        "a service that asks for an hour is waited for",
        "if floor > self.longest_retry_after or wait >= remaining",
        "if wait >= remaining",
    ),
    (
        "the wait goes past the deadline",
        "if floor > self.longest_retry_after or wait >= remaining",
        "if floor > self.longest_retry_after",
    ),
    ("waits do not grow", "self.base * 2 ** (failed - 1)", "self.base"),
    ("waits grow without bound", "min(self.cap, self.base * 2 ** (failed - 1))", "self.base * 2 ** (failed - 1)"),
    (
        "only the last attempt says whether it may have happened",
        "is_unknown = is_unknown or _leaves_open(error)",
        "is_unknown = _leaves_open(error)",
    ),
    ("a call that is being repeated is hedged", "request = replace(request, may_hedge=False)", "pass"),
)

HEDGE: Faults = (
    ("writes are hedged", "request.may_hedge and request.is_safe", "request.may_hedge"),
    ("the caller is not asked whether it may be", "request.may_hedge and request.is_safe", "request.is_safe"),
    ("the budget is not asked", "own.withdraw(now) and budget.withdraw(now)", "own.withdraw(now)"),
    ("its own share is not asked", "own.withdraw(now) and budget.withdraw(now)", "budget.withdraw(now)"),
    ("the loser is waited for, not cancelled", "            hedge.cancel()\n            try:", "            try:"),
    (
        "a cancellation from outside is swallowed by the hedge's victory",
        "if not self._interrupted or self._caller.cancelling() - 1 > cancelling:",
        "if not self._interrupted:",
    ),
    ("its own cancellation is not taken back", "                self._caller.uncancel()", "                pass"),
    (
        "a hedge that fails ends the first attempt",
        "if not self._is_first_under_way or hedge.cancelled() or hedge.exception() is not None:",
        "if not self._is_first_under_way or hedge.cancelled():",
    ),
    (
        "the first attempt's failure is not made good by the second",
        "            if self._hedge is None:\n                raise\n            return await self._second_instead_of(error)",
        "            raise error",
    ),
    ("what is fast anyway is hedged", "max(usual, chosen.least)", "usual"),
    (
        "a cancellation while the loser ends is forgotten",
        "        if cancelled is not None:\n            raise cancelled",
        "        if cancelled is None:\n            return",
    ),
)

BREAKER: Faults = (
    (
        "one failure too many",
        "self._consecutive >= self._allowed_in_a_row()",
        "self._consecutive > self._allowed_in_a_row()",
    ),
    (
        "what is ignored counts as a failure",
        "        if outcome is IGNORED:\n            return\n        self._window",
        "        self._window",
    ),
    ("a late outcome of an earlier state counts", "        if permit != self._generation:\n            return\n", ""),
    ("one probe too many", "if self._under_way >= (", "if self._under_way > ("),
    ("a cancelled probe keeps its permit", "except BaseException as error:", "except Exception as error:"),
    (
        "a probe's permit is never given back",
        "            self._under_way -= 1\n            self._after_probe",
        "            self._after_probe",
    ),
    (
        "a success is told twice",
        "            decides.tell(permit, SUCCESS, now=clock.now())\n",
        "            decides.tell(permit, SUCCESS, now=clock.now())\n" * 2,
    ),
    (
        "every opening is as short as the first",
        "self._settings.open_for * 2 ** min(self._openings, 32)",
        "self._settings.open_for",
    ),
    (
        "openings grow without bound",
        "min(self._settings.open_cap, self._settings.open_for * 2",
        "max(0, self._settings.open_for * 2",
    ),
    ("workers probe as one", "(1 - self._settings.spread * self._jitter())", "1"),
    (
        "openings last longer than told",
        "(1 - self._settings.spread * self._jitter())",
        "(1 + self._settings.spread * self._jitter())",
    ),
    (
        "the ratio is a bound that must be passed",
        "failed >= self._settings.ratio * total",
        "failed > self._settings.ratio * total",
    ),
    ("a few calls are enough for the ratio", "total >= self._settings.volume and ", ""),
    ("failures of before count after it closed", "        self._window.clear()\n", ""),
    ("the ramp never ends", "        self._cap += 1\n", ""),
    (
        "all come back at once",
        "                    self._cap = self._settings.probes\n",
        "                    self._cap = None\n",
    ),
    (
        "an endpoint's first failure is not its own",
        "found = self._endpoints[endpoint] = Breaker(",
        "self._endpoints[endpoint] = Breaker(",
    ),
    ("another window is not taken over", "if settings.window != self._settings.window:", "if settings.window is None:"),
)

BULKHEAD: Faults = (
    (
        "a permit is kept by what fails or is cancelled",
        "            finally:\n                state.release()",
        "            except ZeroDivisionError:\n                state.release()",
    ),
    (
        "a permit that came in the tick of a cancellation is lost",
        "                if turn.result():\n                    self.release()",
        "                pass",
    ),
    (
        "who was cancelled stays in the queue",
        "            elif turn in queue:\n                queue.remove(turn)\n",
        "",
    ),
    ("one permit too many", "if self._in_flight >= limit:", "if self._in_flight > limit:"),
    (
        "a permit given back wakes nobody",
        "        self._in_flight -= 1\n        self._let_in()",
        "        self._in_flight -= 1",
    ),
    (
        "a permit handed on is not counted",
        "            self._in_flight += 1\n            turn.set_result(True)",
        "            turn.set_result(True)",
    ),
    ("the least important is let in first", "for queue in reversed(self._queues):", "for queue in self._queues:"),
    ("last come, first served", "turn = queue.popleft()", "turn = queue.pop()"),
    ("what is sheddable takes the last permits", "limit -= limit // 10", "limit -= 0"),
    (
        "what is sheddable waits",
        "if priority is Priority.SHEDDABLE:\n            raise",
        "if priority is None:\n            raise",
    ),
    (
        "the queue is waited in past the deadline",
        "Seconds(min(longest, deadline.remaining(clock)))",
        "Seconds(longest)",
    ),
    (
        "more are let in than there are permits",
        "while self._in_flight < self.limit:",
        "while self._in_flight <= self.limit:",
    ),
    ("equals drop one another", "in self._queues[:priority]:", "in self._queues[: priority + 1]:"),
    (
        "one more waits than may",
        "if self.waiting >= self._longest_queue(priority)",
        "if self.waiting > self._longest_queue(priority)",
    ),
    ("a higher limit wakes nobody", "        self._let_in()\n\n    @property", "\n    @property"),
    (
        "an adaptive limit backs off at every error",
        "if error.http_status in _TOO_MANY:",
        "if error:",
    ),
    ("a late loop lowers the adaptive limit", "if not is_our_lateness(error):", "if error:"),
)

BALANCE: Faults = (
    ("a cancelled attempt stays counted as under way", "except BaseException as error:", "except Exception as error:"),
    ("a call does not remember whom it tried", "            request.tried.append(instance.address)\n", ""),
    ("a fast failure is cheap", "penalty=penalty(), now=now)", "penalty=Seconds(0.0), now=now)"),
    ("the wire is not told the instance", "attempt(replace(request, instance=instance.address))", "attempt(request)"),
    (
        "every answer took no time",
        "elapsed=Seconds(now - began), penalty=NEVER",
        "elapsed=NEVER, penalty=NEVER",
    ),
    ("ejections are not counted", "                    ejections.inc()\n", ""),
    ("a failure is told as a success", "outcome_of(error), elapsed=elapsed", "SUCCESS, elapsed=elapsed"),
    (
        "a late loop makes instances slow",
        "NEVER if is_our_lateness(error) else Seconds(now - began)",
        "Seconds(now - began)",
    ),
)

OBSERVE: Faults = (
    ("a cancelled attempt is counted as well", 'clock.now(), "cancelled"', 'clock.now(), "ok"'),
    ("a refusal is counted as well", '"ok" if response.status < 400', '"ok" if response.status < 500'),
    ("no attempt has a span", "if telemetry.is_sampled_out:", "if telemetry:"),
    (
        "every failure has the same name",
        "error.code if isinstance(error, GatewayError) else GatewayError.code",
        "GatewayError.code",
    ),
    ("an id stands in the span", 'request.endpoint.partition(" ")[2] or request.endpoint', "request.path"),
    ("the first attempt counts as one sent again", "if len(request.tried) > 1:", "if request.tried:"),
    ("a 404 leaves the span unmarked", "if status >= 400:", "if status >= 500:"),
)

ATTEMPT_TIMEOUT: Faults = (
    (
        "an attempt outlives the deadline",
        "end = min(request.deadline.at, Instant(began + timeout))",
        "end = Instant(began + timeout)",
    ),
    ("the deadline's fault is the service's", "if end == request.deadline.at:", "if end > request.deadline.at:"),
    ("an attempt goes out at its deadline", "if began >= request.deadline.at:", "if began > request.deadline.at:"),
    ("writes are cut by what was learnt", "        if not request.is_safe:\n            return most\n", ""),
    ("a service is cut below the floor", "max(floor(), _TIMES * p99)", "_TIMES * p99"),
    ("what was learnt has no upper end", "Seconds(min(most, max(", "Seconds(max(max("),
    (
        "what was cut is not learnt",
        "                latencies.record(request.endpoint, timeout, now=now)\n",
        "",
    ),
    (
        "what was answered is not learnt",
        "            latencies.record(request.endpoint, Seconds(now - began), now=now)\n",
        "",
    ),
    (
        "a request's own timeout is ignored",
        "        if request.attempt_timeout is not None:\n            return request.attempt_timeout\n",
        "",
    ),
    (
        "somebody else's TimeoutError is the service's",
        "                if not expiry.has_expired:\n                    raise\n",
        "",
    ),
    ("a late loop is the service's fault", "                if late:\n", "                if late and not error:\n"),
    ("a deadline that rang late is the service's fault", "waited=waited, is_late=is_late)", "waited=waited)"),
)

CLASSIFY: Faults = (
    ("a 500 is an answer", "response.status < 500", "response.status <= 500"),
    ("a 429 is an answer", " and response.status != _TOO_MANY_REQUESTS:", ":"),
    ("a caller's own 429 speaks for all", "request.is_personal and response.status", "response.status"),
    ("a 503 to one caller says nothing", " and response.status == _TOO_MANY_REQUESTS", ""),
    (
        "a date in the past is a wait in the past",
        "max(0.0, (parsedate_to_datetime(text) - now).total_seconds())",
        "(parsedate_to_datetime(text) - now).total_seconds()",
    ),
    ("a date beyond all calendars escapes", "(ValueError, TypeError, OverflowError)", "(ValueError, TypeError)"),
    ("a date without a zone escapes", "(ValueError, TypeError, OverflowError)", "(ValueError, OverflowError)"),
)

FAULTS: Faults = (
    (
        "a lost answer is lost before it was done",
        '    if kind == "hang":',
        '    if kind == "lost":\n        _break(request)\n    if kind == "hang":',
    ),
    (
        "an injected 503 reaches the service",
        '    if kind == "error":\n',
        '    if kind == "error" and await attempt(request):\n',
    ),
    (
        "a reset is a refusal that was never sent",
        'before it answered", service=request.service)',
        'before it answered", service=request.service, applied=False)',
    ),
    (
        "off draws numbers",
        (
            "                nothing = chosen  # its seven shares are looked at once, not on every attempt\n"
            "                return attempt(request)\n"
        ),
        "                nothing = chosen\n",
    ),
    ("a request's own plan is ignored", "chosen = planned(request.faults).get(service, chosen)", "pass"),
    (
        "the seed is not used",
        "dice.setdefault(chosen.seed, Random(chosen.seed))",
        "dice.setdefault(chosen.seed, Random())",
    ),
    (
        "two may befall an attempt",
        "if (together := sum(shares[name] for name in _KINDS)) > 1 + 1e-9:",
        "if (together := sum(shares[name] for name in _KINDS)) > 9:",
    ),
    (
        "garbage does nothing at the service",
        "    response = await attempt(request)\n    if kind",
        "    response = ServiceResponse(200, {}, b'')\n    if kind",
    ),
)

POLICIES: list[Mutant] = [
    *mutants_of("services/policies/coalesce.py", (f"{_SERVICES}/test_coalesce.py",), COALESCE),
    *mutants_of(
        "services/policies/retry.py",
        (f"{_SERVICES}/test_retry.py", f"{_SERVICES}/test_hedge.py", f"{_SERVICES}/test_budget.py"),
        RETRY,
    ),
    *mutants_of("services/policies/hedge.py", (f"{_SERVICES}/test_hedge.py",), HEDGE),
    *mutants_of("services/policies/breaker.py", (f"{_SERVICES}/test_breaker.py",), BREAKER),
    *mutants_of(
        "services/policies/bulkhead.py",
        (f"{_SERVICES}/test_bulkhead.py", f"{_SERVICES}/test_limit.py", f"{_SERVICES}/test_lateness.py"),
        BULKHEAD,
    ),
    *mutants_of(
        "services/policies/balance.py",
        (f"{_SERVICES}/test_balance.py", f"{_SERVICES}/test_instances.py", f"{_SERVICES}/test_lateness.py"),
        BALANCE,
    ),
    *mutants_of(
        "services/policies/observe.py", (f"{_SERVICES}/test_observe.py", f"{_SERVICES}/test_stack_pairs.py"), OBSERVE
    ),
    *mutants_of(
        "services/policies/attempt_timeout.py",
        (f"{_SERVICES}/test_attempt_timeout.py", f"{_SERVICES}/test_latency.py", f"{_SERVICES}/test_lateness.py"),
        ATTEMPT_TIMEOUT,
    ),
    *mutants_of(
        "services/policies/classify.py", (f"{_SERVICES}/test_classify.py", f"{_SERVICES}/test_breaker.py"), CLASSIFY
    ),
    *mutants_of("services/policies/faults.py", (f"{_SERVICES}/test_faults.py",), FAULTS),
]
