"""What can go wrong in the decisions that policies act upon, and in what is shared between callers; one table a file."""

from __future__ import annotations

from tests.mutants.mutant import Faults, Mutant, mutants_of

_SERVICES = "tests/unit/services"
_LOADING = "tests/unit/loading"

OUTCOME: Faults = (
    ("a client with a tiny deadline opens the breaker", "if waited >= FAIR_TIME:", "if waited >= 0:"),
    ("a service that is cut by deadlines is never to blame", "if waited >= FAIR_TIME:", "if waited > 1e9:"),
    (
        "an answer that cannot be used is a failure",
        "        case ServiceContractBroken():\n            return Outcome.SUCCESS",
        "        case ServiceContractBroken():\n            return Outcome.FAILURE",
    ),
    (
        "a caller's own quota opens the breaker",
        "AnsweredUnavailable(about_caller=True)",
        "AnsweredUnavailable(about_caller=None)",
    ),
    (
        "what we refuse ourselves is a failure",
        "        case _:\n            return Outcome.IGNORED",
        "        case _:\n            return Outcome.FAILURE",
    ),
    ("a full bulkhead is asked again", "ServiceBreakerOpen | ServiceBulkheadFull", "ServiceBreakerOpen"),
    ("a timer a little late excuses every service", "max(LATE, _LATE_SHARE * waited)", "0"),
    ("a late timeout opens the breaker", " | LateTimeout() | DeadlineCut(is_late=True):", ":"),
)

INSTANCES: Faults = (
    (
        "the last instances are left out, too",
        "out + 1 > settings.max_ejected * len(peers)",
        "out > settings.max_ejected * len(peers)",
    ),
    ("what ended stays counted as under way", "        instance.in_flight -= 1\n", ""),
    ("failures need not be in a row", "            instance.failed = 0\n", ""),
    ("a fast failure is cheap", "max(elapsed, penalty), now", "elapsed, now"),
    (
        "the dearer of two is taken",
        "one.cost(now, self._settings) <= other.cost",
        "one.cost(now, self._settings) > other.cost",
    ),
    ("both draws may be the same", "        second += second >= first\n", ""),
    ("what was tried is tried again", "_without(usable, tried)", "_without(usable, ())"),
    ("every ejection is as short as the first", "settings.eject_for * instance.ejections", "settings.eject_for"),
    ("an instance that becomes slow is left bit by bit", "if took >= self.latency:", "if not self.latency:"),
    ("what was slow once is never asked again", "self.latency * fade", "self.latency"),
    ("what comes back is flooded", "        instance.since = instance.ejected_until  # it comes back slowly\n", ""),
    ("health checks are not believed", "self.is_well and now >= self.ejected_until", "now >= self.ejected_until"),
    ("what is left out is used", "self.is_well and now >= self.ejected_until", "self.is_well"),
    (
        "what is drained is used as long as nothing was tried",
        "is_whole = all(each.is_well and not each.is_drained for",
        "is_whole = all(each.is_well for",
    ),
    (
        "what is ejected is used as long as nothing was tried",
        "max((each.ejected_until for each in self._primary), default=FOREVER)",
        "-FOREVER",
    ),
    (
        "an ejection changes nothing",
        "        self.ejections += 1\n        self._note_change()\n",
        "        self.ejections += 1\n",
    ),
    (
        "no panic: the last one is given everything",
        "is_panic = not usable or len(usable) < self._settings.panic * len(primary)",
        "is_panic = not usable",
    ),
    (
        "the loser of a hedge hides a slow instance",
        "        elif elapsed > instance.latency:\n",
        "        elif elapsed < 0:\n",
    ),
    ("work under way costs nothing", " * (self.in_flight + 1)\n", "\n"),
    ("without a slow start it divides by nothing", " or not slow_start else", " else"),
    (
        "known instances are met like strangers",
        "self._primary = [known.get(address) or Instance",
        "self._primary = [Instance",
    ),
)

BUDGET: Faults = (
    (
        "what is granted is not counted",
        "        self._extra[self._newest % _BUCKETS] += 1\n        return True",
        "        return True",
    ),
    (
        "one more than is granted",
        "if sum(self._extra) + 1 > self._granted():",
        "if sum(self._extra) > self._granted():",
    ),
    (
        "extra attempts are never forgotten",
        "self._first[passed % _BUCKETS] = self._extra[passed % _BUCKETS] = 0",
        "self._first[passed % _BUCKETS] = 0",
    ),
    (
        "first attempts are never forgotten",
        "self._first[passed % _BUCKETS] = self._extra[passed % _BUCKETS] = 0",
        "self._extra[passed % _BUCKETS] = 0",
    ),
    (
        "the reserve is for a window, not for a second",
        "self._settings.reserve * self._settings.window",
        "self._settings.reserve",
    ),
    ("another window begins from nothing", "            self._count_in(step)", "            self.__init__(settings)"),
    (
        "first attempts count for an older tenth",
        '"""A first attempt is being sent."""\n        if now >= self._moves_at:\n            self._move(now)\n',
        '"""A first attempt is being sent."""\n',
    ),
)

LATENCY: Faults = (
    ("after a pause old news is news", "is_recent = now < self._ends + HALF", "is_recent = True"),
    (
        "one attempt is a quantile",
        "self._quantile(q) if self.count >= ENOUGH else None",
        "self._quantile(q) if self.count else None",
    ),
    ("the quantile is taken from the wrong end", "(up_to, q * self.count)", "(up_to, (1 - q) * self.count)"),
    ("the last half is forgotten", "map(add, self._this, self._last)", "self._this"),
    ("endpoints are without number", "if len(self._endpoints) < MAX_ENDPOINTS:", "if endpoint:"),
    (
        "a quantile that was told once is told for ever",
        "        if self._count >= self._renew_at:\n            self._renew()\n",
        "",
    ),
    (
        "a quantile of many is computed anew as often as one of few",
        "max(_EVERY, self.count // 64)",
        "_EVERY",
    ),
    (
        "asked after a pause, it tells of before",
        "if now >= self._ends:  # asked after a pause",
        "if now < 0:  # asked after a pause",
    ),
)

LIMIT: Faults = (
    (
        "it grows beyond the most",
        "min(float(self._most), max(float(self._least), self._steered + by))",
        "max(float(self._least), self._steered + by)",
    ),
    (
        "it falls below the least",
        "min(float(self._most), max(float(self._least), self._steered + by))",
        "min(float(self._most), self._steered + by)",
    ),
    ("it grows while nobody needs it", "elif self._used * 2 >= self._steered:", "else:"),
    (
        "one burst of refusals is many signs",
        "        if now - self._backed_off < self._usual:\n            return  # one burst of refusals is one sign\n",
        "",
    ),
    ("a queue makes it grow", "            self._steer(-root)", "            self._steer(root)"),
    (
        "the time without a queue is never measured anew",
        "            self._probe = 2  #",
        "            self._probe = 0  #",
    ),
    ("a refusal is no sign", "        self._steer(self._steered * (_BACK_OFF - 1))\n", ""),
)

TIMERS: Faults = (
    ("what is due now rings later", "if instant <= now)", "if instant < now)"),
    (
        "after one has rung nobody is waited for",
        "        if earliest is not None and earliest < self._rings_at:\n            self._ring_at(earliest, loop)\n",
        "",
    ),
    ("they ring in the order in which they were set", "due = sorted((instant, timer)", "due = list((instant, timer)"),
    ("one that another took back keeps the next from ringing", "pop(timer, _TAKEN_BACK)", "pop(timer)"),
    (
        "an earlier one does not bring the loop's forward",
        "        if instant < self._rings_at:\n",
        "        if self._handle is None:\n",
    ),
    (
        "what was taken back rings",
        "        self._set_now.pop(timer, None)",
        "        pass",
    ),
    ("on another loop nothing rings", "if loop is not self._loop:", "if self._loop is None:"),
    (
        "a cancellation from outside becomes a timeout",
        "self._task.uncancel() <= self._cancelling and",
        "self._task.uncancel() >= 0 and",
    ),
    (
        "its own cancellation is not taken back",
        "self._task.uncancel() <= self._cancelling and",
        "self._task.cancelling() - 1 <= self._cancelling and",
    ),
    (
        "it cuts what comes after its body",
        "        if self._timer is not None:\n            self._timers.cancel(self._timer)\n",
        "",
    ),
)

HEALTH: Faults = (
    ("one check too many", "if self._against >= (", "if self._against > ("),
    (
        "checks need not be in a row",
        "            self._against = 0\n            return self.is_well",
        "            return self.is_well",
    ),
    (
        "the thresholds are exchanged",
        "settings.unhealthy_after if self.is_well else settings.healthy_after",
        "settings.healthy_after if self.is_well else settings.unhealthy_after",
    ),
    ("whom nobody asks any more stays unhealthy", "        self._forget()\n", ""),
    (
        "a late loop makes instances unhealthy",
        "return None if rang_late(Seconds(self._clock.now() - began), waited=settings.timeout) else False",
        "return False",
    ),
    ("a check that hangs holds up the others", "asyncio.timeout(settings.timeout):", "asyncio.timeout(None):"),
    ("closing leaves a task behind", "            await asyncio.wait([task])", "            pass"),
    ("any answer is well", "timeout=settings.timeout)).is_success", "timeout=settings.timeout)).status < 600"),
    (
        "one bug ends the checks",
        "            except Exception:  # a bug of ours",
        "            except TimeoutError:  # a bug of ours",
    ),
    ("other settings hold after the next round only", "        self._changed.set()\n", ""),
)

CACHE: Faults = (
    ("what is too old is fresh", "if age <= max_age and asked_at > asked_from", "if asked_at > asked_from"),
    (
        "what was asked before a write is fresh after it",
        "if age <= max_age and asked_at > asked_from",
        "if age <= max_age",
    ),
    ("what was asked in the instant of a write is fresh", "asked_at > asked_from else", "asked_at >= asked_from else"),
    ("a slow answer displaces a newer one", "if known is None or known[1] <= asked_at:", "if key is not None:"),
    (
        "after a write nothing stands in for a failure",
        'max_age=max_age, asked_from=Instant(float("-inf")))',
        "max_age=max_age, asked_from=self._trusted_from)",
    ),
    ("a write opens no new generation", "        self.generation += 1\n", ""),
    ("what nobody may want is kept", "return self._keep > 0", "return True"),
)

READING: Faults = (
    (
        "another subject of the tenant reads it",
        "reading.identity.subject, reading.identity.scopes, sent)",
        "reading.identity.scopes, sent)",
    ),
    ("other scopes read it", "reading.identity.scopes, sent)", "sent)"),
    (
        "the same name in another tenant reads it",
        "return (reading.identity.tenant, reading.identity.subject,",
        "return (reading.identity.subject,",
    ),
    ("every tenant reads it", "return (reading.identity.tenant, sent)", "return (sent,)"),
    (
        "what was sent may have changed the answer",
        "return (reading.identity.tenant, sent)",
        "return (reading.identity.tenant,)",
    ),
    ("identity headers go with a public question", "    if sharing is Sharing.PUBLIC:\n        return ()\n", ""),
    (
        "headers go out that no service declares",
        "for name, value in reading.headers if forwards(name.lower()))",
        "for name, value in reading.headers)",
    ),
    (
        "a call is shared across a write",
        "scope_of(reading, sharing, sent=sent), generation)",
        "scope_of(reading, sharing, sent=sent))",
    ),
    (
        "a call is shared across scopes",
        "(sharing, scope_of(reading, sharing, sent=sent), generation)",
        "(sharing, generation)",
    ),
    (
        "after its own write a request shares what began before",
        '"share": None if reading.asks_anew else (',
        '"share": (',
    ),
    ("who repeats by itself is repeated", '"may_retry": reading.may_retry,', '"may_retry": True,'),
    ("the deadline is not passed on", '        "deadline": reading.deadline,\n', ""),
    ("the priority is not passed on", '        "priority": reading.priority,\n', ""),
    ("a caller's 429 speaks for all", '"is_personal": bool(sent),', '"is_personal": False,'),
)

BATCH: Faults = (
    (
        "after its own write a request is served what is cached",
        "rows = {} if reading.asks_anew else self._cached",
        "rows = self._cached",
    ),
    (
        "a failure displaces an answer",
        "                if not isinstance(value, GatewayError):\n",
        "                if key:\n",
    ),
    (
        "what a game day answered is cached",
        "if self.cache.keeps and reading.faults is None:",
        "if self.cache.keeps:",
    ),
    ("strangers' records make absence no less certain", "        if strangers:\n", "        if strangers < 0:\n"),
    (
        "an answer is as old as its arrival",
        "self.cache.put(name(key), rows[key], asked_at=asked_at)",
        "self.cache.put(name(key), rows[key], asked_at=self._clock.now())",
    ),
    (
        "arguments are no part of what is cached",
        "return lambda key: (scope, arguments, key)",
        "return lambda key: (scope, key)",
    ),
)

RECORDS: Faults = (
    (
        "one broken record fails all",
        "        except UNREADABLE as error:\n            return RecordBroken(str(error))",
        "        except UNREADABLE as error:\n            raise RecordBroken(str(error)) from error",
    ),
    (
        "a broken record ends the search for it",
        "        except UNREADABLE:\n            return self._decode_one_by_one(body)",
        "        except UNREADABLE as error:\n            raise RecordBroken(str(error)) from error",
    ),
    ("numbers are no keys", "    return key if isinstance(key, str) else str(key)", "    return key  # type: ignore"),
    (
        "what may be missing must be there",
        "    if _is_nullable(wire_type):\n        return msgspec.field(name=name, default=None)\n",
        "",
    ),
)

DECISIONS: list[Mutant] = [
    *mutants_of(
        "services/outcome.py",
        (f"{_SERVICES}/test_breaker.py", f"{_SERVICES}/test_retry.py", f"{_SERVICES}/test_lateness.py"),
        OUTCOME,
    ),
    *mutants_of(
        "services/instances.py",
        (f"{_SERVICES}/test_instances.py", f"{_SERVICES}/test_reconfigure.py", f"{_SERVICES}/test_draining.py"),
        INSTANCES,
    ),
    *mutants_of("services/budget.py", (f"{_SERVICES}/test_budget.py",), BUDGET),
    *mutants_of("services/latency.py", (f"{_SERVICES}/test_latency.py",), LATENCY),
    *mutants_of("services/limit.py", (f"{_SERVICES}/test_limit.py",), LIMIT),
    *mutants_of("services/timers.py", (f"{_SERVICES}/test_timers.py",), TIMERS),
    *mutants_of("services/health.py", (f"{_SERVICES}/test_health.py", f"{_SERVICES}/test_lateness.py"), HEALTH),
    *mutants_of("loading/cache.py", (f"{_LOADING}/test_freshness.py", f"{_LOADING}/test_scopes.py"), CACHE),
    *mutants_of(
        "loading/batch.py",
        (
            f"{_LOADING}/test_scopes.py",
            f"{_LOADING}/test_freshness.py",
            f"{_LOADING}/test_batching.py",
            f"{_LOADING}/test_answers.py",
        ),
        BATCH,
    ),
    *mutants_of(
        "loading/reading.py",
        (f"{_LOADING}/test_scopes.py", f"{_LOADING}/test_freshness.py", f"{_LOADING}/test_batching.py"),
        READING,
    ),
    *mutants_of("loading/records.py", (f"{_LOADING}/test_answers.py", f"{_LOADING}/test_records.py"), RECORDS),
]
