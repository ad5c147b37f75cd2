"""What can go wrong in sagas: in what is decided, in what is believed of the past, and in what acts upon it; one table a file."""

from __future__ import annotations

from tests.mutants.mutant import Faults, Mutant, mutants_of

_UNIT = "tests/unit/sagas"
_RULES = (
    f"{_UNIT}/test_core.py",
    f"{_UNIT}/test_waiting.py",
    f"{_UNIT}/test_finding_out.py",
    f"{_UNIT}/test_operating.py",
    "tests/property/test_saga_core.py",
)
_HOSTS = (f"{_UNIT}/test_embedded.py",)

CORE: Faults = (
    (
        "an undo does not await a sibling in flight",
        "    if any(step.state is StepState.RUNNING for step in progress.steps.values()):\n        return",
        "    if False:\n        return",
    ),
    (
        "an undo does not wait for what depends on it",
        " and not any(_blocks(plan.steps[name], progress) for name in step.dependents)",
        "",
    ),
    (
        "an undo under way is in nobody's way",
        "return must_undo(step, now) or now.state in _IN_THE_WAY",
        "return must_undo(step, now)",
    ),
    (
        "a step is undone before it is found out",
        "is_known = progress.state is StepState.DONE or not step.is_found_out",
        "is_known = True",
    ),
    ("a lookup is asked before it can tell", "Epoch((now.ended_at or AT_ONCE) + step.settles_after)", "AT_ONCE"),
    (
        "a question's back-off is not waited for",
        "now.find_attempts + 1, now.retry_at or AT_ONCE)",
        "now.find_attempts + 1)",
    ),
    (
        "the deadline never comes",
        "    if not progress.deadline_recorded:\n        yield Expire(progress.deadline_at)\n",
        "",
    ),
    (
        "a step begins when one of its needs is done",
        "if _all_passed(progress, step.needs)",
        "if not step.needs or any(_all_passed(progress, [name]) for name in step.needs)",
    ),
    ("a back-off is not waited for", "now.attempts + 1, now.retry_at or AT_ONCE)", "now.attempts + 1)"),
    (
        "an undo's back-off is not waited for",
        "now.undo_attempts + 1, now.retry_at or AT_ONCE)",
        "now.undo_attempts + 1)",
    ),
    ("a timer fires at once", "yield Fire(step.name, due) if is_timer", "yield Fire(step.name, AT_ONCE) if is_timer"),
    (
        "a signal is waited for without end",
        "None if step.wait is None or step.wait.lasts is None else Epoch",
        "None and Epoch",
    ),
    ("a stuck undo counts as undone", "stuck = progress.any_in({StepState.UNDO_STUCK})", "stuck = False"),
    (
        "a person is called while something is in flight",
        "        if not operated and not progress.has_in_flight:\n",
        "        if not operated:\n",
    ),
    (
        "an operator's retry waits for everything else that is broken",
        "operated = list(_operated(plan, progress))",
        "operated = list(_operated(plan, progress))[:0]",
    ),
    (
        "what an operator skipped is waited for",
        " and not (step.state is StepState.SKIPPED and step.is_operated)",
        "",
    ),
    (
        "an undo that a crash cut stays in flight for ever",
        "        if step.in_flight\n    )",
        "        if step.in_flight and step.state is StepState.RUNNING\n    )",
    ),
    ("a pivot that may be done is given up like any step", "    if step.is_pivot and is_unknown:\n", "    if False:\n"),
    (
        "a certain failure makes an earlier attempt certain",
        "is_unknown = now.is_unknown or failure.applied_unknown\n    policy",
        "is_unknown = failure.applied_unknown\n    policy",
    ),
    ("what need not be tried again is", "retry_at=retry_at if is_retryable else None", "retry_at=retry_at"),
    ("one attempt too many", "if policy.is_spent(counted + 1):", "if policy.is_spent(counted):"),
    (
        "the client reads that nothing remains of what an operator let stand",
        "return said_no and not progress.any_in({StepState.UNDO_SKIPPED})",
        "return said_no",
    ),
    ("what is due later is done now", "if action.due > now:", "if False:"),
)

FOLDING: Faults = (
    (
        "what a crash cut certainly did not happen",
        "replace(_landed(step, StepState.RETRYING), is_unknown=True, retry_at=event.at)",
        "replace(_landed(step, StepState.RETRYING), retry_at=event.at)",
    ),
    (
        "a crash costs an attempt",
        "is_unknown=True, retry_at=event.at)",
        "is_unknown=True, retry_at=event.at, counted=step.counted + 1)",
    ),
    (
        "the pivot is a step like any other",
        "return replace(after, state=SagaState.FORWARD_ONLY, stop=None) if name == plan.pivot else after",
        "return after",
    ),
    (
        "a pivot of unknown outcome turns the saga back",
        "if progress.state is not SagaState.RUNNING or pivot_is_unknown:",
        "if progress.state is not SagaState.RUNNING:",
    ),
    (
        "a wish to stop is obeyed while the pivot may be done",
        "and not _pivot_may_be_done(plan, progress):",
        "and True:",
    ),
    (
        "a pivot in flight can be stopped",
        "return pivot.state is StepState.RUNNING or (pivot.is_unknown",
        "return (pivot.is_unknown",
    ),
    (
        "what was given up certainly did not happen",
        "StepState.UNKNOWN if step.is_unknown else StepState.FAILED",
        "StepState.FAILED",
    ),
    (
        "what was unknown once is forgotten",
        "is_unknown=step.is_unknown or event.applied_unknown",
        "is_unknown=event.applied_unknown",
    ),
    (
        "a wait goes on while the saga turns back",
        "(StepState.PENDING, StepState.WAITING):\n        return replace(step, state=StepState.SKIPPED",
        "(StepState.PENDING,):\n        return replace(step, state=StepState.SKIPPED",
    ),
    (
        "nothing is stopped between two attempts",
        "    if step.state is StepState.RETRYING:\n        return replace(_given_up",
        "    if False:\n        return replace(_given_up",
    ),
    (
        "a stopped step forgets when",
        "return replace(_given_up(step), ended_at=at)",
        "return _given_up(step)",
    ),
    ("an early signal is lost", "            if step.received is None:\n", "            if True:\n"),
    ("a signal is believed twice", " and step.received is None, event)", ", event)"),
    ("what is done is unknown still", "is_operated=False, is_unknown=False)", "is_operated=False)"),
    (
        "what was found not to have happened is undone",
        "return replace(_landed(found, StepState.FAILED), is_unknown=False)",
        "return replace(_landed(found, StepState.DONE), is_unknown=False)",
    ),
    (
        "what was found to be done is not undone",
        "return replace(_landed(found, StepState.DONE), is_unknown=False, result=event.result)",
        "return replace(_landed(found, StepState.FAILED), is_unknown=False, result=event.result)",
    ),
    ("an operator's retry has no patience", "counted=0, undo_counted=0, find_counted=0", "counted=0, find_counted=0"),
    (
        "a saga that a person helped goes another way",
        "state=progress.resumes_as, resumes_as=None",
        "state=SagaState.FORWARD_ONLY, resumes_as=None",
    ),
    ("a history goes on after its end", "    return not state.is_settled\n", "    return True\n"),
    (
        "a late reply is believed",
        "_expect(step.state is StepState.RUNNING and event.attempt == step.attempts, event)",
        "_expect(step.state is StepState.RUNNING, event)",
    ),
    (
        "an effect that an operator let stand is undone",
        "replace(step, state=StepState.UNDO_SKIPPED, ended_at=event.at)",
        "replace(step, state=StepState.DONE, ended_at=event.at)",
    ),
    (
        "the deadline passes again and again",
        "expired = replace(progress, deadline_recorded=True)",
        "expired = progress",
    ),
)

OPERATING: Faults = (
    ("an operator speaks of what is in flight", "    if now.in_flight:\n", "    if False:\n"),
    ("what is read is skipped", "    if step.is_read:\n", "    if False:\n"),
    (
        "a step is done without a result",
        "    if request.result is None:\n",
        "    if False:\n",
    ),
    (
        "a saga that has ended hears operators",
        '    if progress.state.is_final:\n        return Refused(f"the saga',
        '    if False:\n        return Refused(f"the saga',
    ),
    (
        "a saga that waits for a person is cancelled",
        "    if progress.state is SagaState.NEEDS_ATTENTION:\n",
        "    if False:\n",
    ),
    ("a rejected step is tried again on the way back", "(forward and now.state in BROKEN)", "now.state in BROKEN"),
    (
        "a step is skipped while there is a way back",
        "if _phase(progress) is not SagaState.FORWARD_ONLY or now",
        "if now",
    ),
    (
        "a signal that is sent again is refused",
        "    if now.received is not None:\n        return Taken(is_repeated=True)\n",
        "",
    ),
    (
        "a signal that comes too late is taken",
        "if progress.state.is_final or now.state not in (StepState.PENDING, StepState.WAITING):",
        "if progress.state.is_final:",
    ),
    (
        "what was undone in vain is said not to have been done",
        '        case StepState.UNDOING | StepState.UNDO_STUCK:\n            return ["undone"]',
        '        case StepState.UNDOING | StepState.UNDO_STUCK:\n            return ["undone", "not_done"]',
    ),
)

PLAN: Faults = (
    (
        "the pivot runs beside what may fail",
        "needs[pivot] = frozenset(needs) - followers(needs, pivot) - {pivot}",
        "needs[pivot] = needs[pivot]",
    ),
    (
        "only what reads a step directly is undone before it",
        "dependents=tuple(sorted(followers(needs, step), key=order.index))",
        "dependents=tuple(n for n in order if step in needs[n])",
    ),
    ("steps that wait for one another are a plan", "        if not ready:\n", "        if not left:\n"),
    ("a wait does not change the digest", "structure.append(step.wait.kind)", "pass"),
    ("how it is found out does not change the digest", "structure.append(step.overtaken.value)", "pass"),
)

RETRY: Faults = (
    ("one attempt more than said", "attempts >= self.attempts", "attempts > self.attempts"),
    ("every delay is twice as long", "min(attempt - 1, 62)", "min(attempt, 62)"),
    ("delays know no bound", "min(duration(self.cap), duration(self.base) * 2.0", "max(0.0, duration(self.base) * 2.0"),
    ("all sagas come back at once", 'f"{saga_id}:{step}:{attempt}"', 'f"{step}:{attempt}"'),
    ("a base above the cap is taken", "if duration(self.base) > duration(self.cap):", "if False:"),
)

FAILURES: Faults = (
    (
        "a cut attempt certainly did nothing",
        "TIMED_OUT = Failure(ServiceTimeout.code)",
        "TIMED_OUT = Failure(ServiceTimeout.code, applied_unknown=False)",
    ),
    ("what we do not know did not happen", "error.applied is not False", "error.applied is True"),
)

RUNNING: Faults = (
    (
        "a call goes out before its intention is on disk",
        "        try:\n            await self._journal((*events, *decided.events), progress=decided.progress)\n",
        (
            "        self._launch(decided.launches, attempts)\n        await asyncio.sleep(0)\n        try:\n"
            "            await self._journal((*events, *decided.events), progress=decided.progress)\n"
        ),
    ),
    (
        "an undo carries the key of what it undoes",
        'f"{forward_key}:undo" if isinstance(launch, Undo) else forward_key',
        "forward_key",
    ),
    (
        "a draining saga goes on",
        "        if self._is_draining:\n            return Advance(",
        "        if False:\n            return Advance(",
    ),
    (
        "a jump of the wall clock is slept through",
        "min(LONGEST_SLEEP, max(0.0, wake_at - self._around.clock.wall()))",
        "max(0.0, wake_at - self._around.clock.wall())",
    ),
    ("an undo may be rejected", "            return failure_of(reject)\n", "            return reject\n"),
    (
        "a question that is refused is a failure",
        "            return NotDone()\n",
        "            return failure_of(reject)\n",
    ),
    (
        "a result of the wrong type is journalled",
        "        codec.decode(encoded, self.definition.bindings[step].yields, place=place)\n",
        "",
    ),
    (
        "whoever asked is answered before the journal has it",
        "        decided = self._decide(progress, now=now)\n        try:",
        "        decided = self._decide(progress, now=now)\n        _answer(asked, answers)\n        try:",
    ),
    (
        "an observer's bug stops the saga",
        "            except Exception:  # an observer",
        "            except LookupError:  # an observer",
    ),
    (
        "the observer hears of what failed",
        "if not what or isinstance(report.what, Failure | Reject | NotDone):",
        "if not what:",
    ),
    (
        "what the author's code raises as a cancellation ends the saga",
        "            if task is not None and task.cancelling():\n                raise",
        "            if task is not None:\n                raise",
    ),
)

EMBEDDED: Faults = (
    (
        "a client that goes away takes its saga with it",
        "await asyncio.shield(self._spawn(self._begin(definition, record)))",
        "await self._spawn(self._begin(definition, record))",
    ),
    ("what is being begun does not count as open", "len(self._running) + self._beginning >=", "len(self._running) >="),
    ("another input under the same key is the same saga", "HASH_VERSION and is_another:", "HASH_VERSION and False:"),
    ("a start forgets what was in flight", "saga.run(pending=interrupted)", "saga.run()"),
    (
        "a saga goes on under steps that were changed",
        "return definition is not None and definition.plan.digest == record.digest",
        "return definition is not None",
    ),
    (
        "one broken history keeps all others from going on",
        "            ValueError,\n",
        "",
    ),
    (
        "a draining host begins more",
        "        if self._is_draining:\n            raise Draining(",
        "        if False:\n            raise Draining(",
    ),
    (
        "a host without a journal begins more",
        "        if not self.is_healthy:\n            raise SagasUnavailable(",
        "        if False:\n            raise SagasUnavailable(",
    ),
    (
        "a stop does not wait for what is in flight",
        "asyncio.wait(self._tasks, timeout=drain)",
        "asyncio.wait(self._tasks, timeout=0)",
    ),
)

SAGAS: list[Mutant] = [
    *mutants_of("sagas/core.py", _RULES, CORE),
    *mutants_of("sagas/folding.py", _RULES, FOLDING),
    *mutants_of("sagas/operating.py", (f"{_UNIT}/test_operating.py", f"{_UNIT}/test_waiting.py"), OPERATING),
    *mutants_of("sagas/plan.py", (*_RULES[:3], f"{_UNIT}/test_definition.py"), PLAN),
    *mutants_of("sagas/retry.py", (f"{_UNIT}/test_retry.py", *_RULES[:1]), RETRY),
    *mutants_of("sagas/failures.py", _HOSTS, FAILURES),
    *mutants_of("sagas/running.py", (*_HOSTS, "tests/conformance/test_hosts.py"), RUNNING),
    *mutants_of("sagas/embedded.py", (*_HOSTS, "tests/conformance/test_hosts.py"), EMBEDDED),
]
