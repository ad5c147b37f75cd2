import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  BadUserInput,
  Client,
  Conflict,
  Failed,
  NeedsAttention,
  NoAnswer,
  NotSettled,
  Overloaded,
  RateLimited,
  Rejected,
  SagaNotFound,
  ServiceUnavailable,
  StreamBroken,
  Unauthenticated,
} from '../src/index.js';
import { graphError, GraphError } from '../src/errors.js';
import { Retry } from '../src/retry.js';
import { read, secondsOf } from '../src/transport.js';
import { accepted, completed, data, dropped, event, looked, ORDER, outcome, refused, ScriptedGateway } from './scripted.js';

const SHELF = { products: { edges: [], pageInfo: { hasNextPage: false, endCursor: null } } };
const place = (gateway: ScriptedGateway, options: object = {}, settings: object = {}) =>
  gateway.clock.run(gateway.client(settings).placeOrder({ input: ORDER }, options));

// -- decisions

test('a wait is the floor and full jitter below a cap that doubles', () => {
  const retry = new Retry();
  for (let failed = 1; failed < 200; failed++) {
    for (const jitter of [0, 0.3, 0.999]) {
      const wait = retry.wait(failed, jitter, 2);
      assert.ok(wait >= 2 && wait <= 2 + Math.min(3, 0.1 * 2 ** (failed - 1)) * jitter + 1e-9);
    }
  }
});

test('a wait that would reach the deadline is none, and only who is patient goes on after the last attempt', () => {
  const retry = new Retry();
  assert.equal(retry.nextWait(1, { jitter: 0.5, floor: 1, left: 1.05, patient: true }), undefined);
  assert.equal(retry.nextWait(4, { jitter: 0.5, floor: 0, left: 60, patient: false }), undefined);
  assert.equal(retry.nextWait(4, { jitter: 0.5, floor: 0, left: 60, patient: true }), 0.4);
});

test('what cannot be is refused', () => {
  assert.throws(() => new Retry({ base: 2, cap: 1 }), RangeError);
  assert.throws(() => new Retry({ attempts: 0 }), RangeError);
  assert.throws(() => new ScriptedGateway([]).client({ sagaDeadline: 0 }), /sagaDeadline is 0/);
  assert.throws(() => new Client('127.0.0.1:8000/graphql'), /must begin with http/);
});

test('retry-after is seconds or a date', () => {
  const date = (seconds: number) => new Date(seconds * 1000).toUTCString();
  const told = [null, '3', ' 3 ', date(100), date(10), 'soon', '-1'].map((header) => secondsOf(header, 60));
  assert.deepEqual(told, [0, 3, 3, 40, 0, 0, 0]);
});

test('what a proxy says of not now may be tried again, and nothing else that is no GraphQL', () => {
  const retryable = (status: number) => {
    try {
      return read(status, '<html>', null);
    } catch (error) {
      return (error as NoAnswer).retryable;
    }
  };
  assert.deepEqual([429, 502, 503, 504, 200, 404, 500].map(retryable), [true, true, true, true, false, false, false]);
});

test('a code of tomorrow is an error all the same', () => {
  const error = graphError({ message: 'm', extensions: { code: 'TOMORROW', retryable: true } });
  assert.deepEqual([error.constructor, error.code, error.retryable], [GraphError, 'TOMORROW', true]);
});

// -- queries

test('a query is tried again after a dropped connection, a busy proxy and a busy gateway', async () => {
  const busy = refused('OVERLOADED', { headers: { 'retry-after': '1' } });
  const gateway = new ScriptedGateway([dropped(), { status: 502, body: 'bad' }, busy, data(SHELF)]);
  const shelf = await gateway.clock.run(gateway.client({ token: 't' }).productShelf({ category: 'garden' }));
  assert.ok(shelf.isWhole);
  assert.equal(gateway.asked.length, 4);
  assert.deepEqual(gateway.asked[0]?.body.variables, { category: 'garden' });
  assert.equal(gateway.asked[0]?.headers['authorization'], 'Bearer t');
  assert.ok(gateway.asked[3]!.at - gateway.asked[2]!.at >= 1, 'Retry-After is a floor');
});

test('a client that has reached its limit comes back when the gateway says so', async () => {
  const limited = { errors: [{ message: 'm', extensions: { code: 'RATE_LIMITED', retryable: true, retryAfter: 2 } }] };
  const gateway = new ScriptedGateway([{ status: 429, body: limited }, data(SHELF)]);
  await gateway.clock.run(gateway.client().productShelf());
  assert.ok(gateway.asked[1]!.at - gateway.asked[0]!.at >= 2);
  const long = { errors: [{ message: 'm', extensions: { code: 'RATE_LIMITED', retryable: true, retryAfter: 60 } }] };
  const strict = new ScriptedGateway([{ status: 429, body: long }]);
  await assert.rejects(strict.clock.run(strict.client({ deadline: 5 }).productShelf()), RateLimited);
  assert.equal(strict.asked.length, 1, 'nobody waits for what is beyond the deadline');
});

test('a query gives up after its attempts, and at once where it cannot get better', async () => {
  const busy = new ScriptedGateway([refused('OVERLOADED')]);
  await assert.rejects(busy.clock.run(busy.client().productShelf()), Overloaded);
  assert.equal(busy.asked.length, 4);
  const strict = new ScriptedGateway([refused('UNAUTHENTICATED', { status: 401, retryable: false })]);
  await assert.rejects(strict.clock.run(strict.client().productShelf()), Unauthenticated);
  assert.equal(strict.asked.length, 1);
});

test('the deadline covers all attempts, and the gateway is told what is left', async () => {
  const gateway = new ScriptedGateway([0.6, dropped(), 3600]);
  await assert.rejects(gateway.clock.run(gateway.client({ deadline: 2 }).productShelf()), /did not answer within/);
  assert.ok(Math.abs(gateway.clock.now() - 2) < 0.01);
  const told = gateway.asked.map(({ headers }) => Number(headers['x-request-timeout-ms']));
  assert.equal(told[0], 1800);
  assert.ok(told[1]! < 1300);
});

test('partial data comes with typed errors and notices', async () => {
  const entry = { message: 'm', path: ['products'], extensions: { code: 'SERVICE_UNAVAILABLE', service: 'catalog' } };
  const note = { path: ['a', 0], to: 'STALE', code: 'SERVICE_TIMEOUT', reason: 'r', service: 's', retryable: true, ageSeconds: 6 };
  const gateway = new ScriptedGateway([data({ products: null }, { errors: [entry], extensions: { degraded: [note] } })]);
  const shelf = await gateway.clock.run(gateway.client().productShelf());
  assert.deepEqual(shelf.degraded, [note]);
  assert.ok(shelf.errors[0] instanceof ServiceUnavailable && shelf.errors[0].service === 'catalog');
  assert.throws(() => shelf.whole(), ServiceUnavailable);
  assert.equal(gateway.asked.length, 1);
});

test('who aborts a query is rid of it', async () => {
  const gateway = new ScriptedGateway([3600]);
  const leaving = new AbortController();
  const asked = gateway.client().productShelf({}, { signal: leaving.signal });
  setTimeout(() => leaving.abort(new Error('left')), 0);
  await assert.rejects(asked, /left/);
});

// -- sagas

test('a key is made once and kept over every retry', async () => {
  const draining = refused('DRAINING', { headers: { 'retry-after': '1' } });
  const gateway = new ScriptedGateway([...Array.from({ length: 6 }, dropped), draining, { status: 504, body: '' }, completed()]);
  const client = gateway.client();
  const placed = await gateway.clock.run(client.placeOrder({ input: ORDER }));
  await gateway.clock.run(client.placeOrder({ input: ORDER }));
  assert.equal(placed.data.order.id, 'o1');
  assert.equal(gateway.keys.length, 10);
  assert.equal(new Set(gateway.keys.slice(0, 9)).size, 1);
  assert.notEqual(gateway.keys[9], gateway.keys[0]);
});

test('an accepted saga is followed to its end over a stream that breaks, and read under its key', async () => {
  const streams = [[event(1, 'RUNNING'), event(2, 'RUNNING'), new StreamBroken()], [event(3, 'COMPLETED')]];
  const gateway = new ScriptedGateway([accepted(), looked('RUNNING'), completed()], streams);
  const placed = await place(gateway, { key: 'k' });
  assert.equal(placed.data.sagaId, 's1');
  assert.deepEqual(gateway.watched.map(({ after }) => after), [0, 2]);
  assert.deepEqual(gateway.keys, ['k', undefined, 'k']);
});

test('without websockets a saga is looked at until it ends', async () => {
  const gateway = new ScriptedGateway([accepted(), looked('RUNNING'), dropped(), looked('COMPLETED'), completed()]);
  await place(gateway);
  assert.equal(gateway.asked.length, 5);
});

test('a stream that is dead and does not say so is doubted', async () => {
  const gateway = new ScriptedGateway([accepted(), looked('COMPLETED'), completed()], [[event(1, 'RUNNING'), 3600]]);
  await place(gateway, {}, { attemptTimeout: 5 });
  assert.ok(Math.abs(gateway.clock.now() - 5) < 0.1);
});

test('a saga that cannot be seen is told by its mutation', async () => {
  const missing = graphError({ message: 'm', extensions: { code: 'SAGA_NOT_FOUND' } });
  const gateway = new ScriptedGateway([accepted(), data({ saga: null }), completed()], [[missing]]);
  assert.equal((await place(gateway)).data.order.id, 'o1');
});

test('a mutation that lags behind its saga is not asked in a tight loop', async () => {
  const streams = Array.from({ length: 4 }, () => [event(2, 'COMPLETED')]);
  const gateway = new ScriptedGateway([accepted(), accepted(), accepted(), accepted(), completed()], streams);
  await place(gateway);
  assert.ok(gateway.clock.now() > 0.1);
});

test('how a saga ended is thrown by its kind', async () => {
  const ends: [ReturnType<typeof outcome>, new (...args: never[]) => Error, object][] = [
    [outcome('SagaRejected', 'COMPENSATED', { code: 'CARD_DECLINED', message: 'declined' }), Rejected, { code: 'CARD_DECLINED', message: 'declined' }],
    [outcome('SagaFailed', 'COMPENSATED', { code: 'X', undone: ['a'] }), Failed, { code: 'X', undone: ['a'] }],
    [outcome('SagaNeedsAttention', 'NEEDS_ATTENTION', { code: 'UNDO_STUCK' }), NeedsAttention, { code: 'UNDO_STUCK' }],
    [outcome('IdempotencyConflict', 'RUNNING', { message: 'a new key' }), Conflict, { message: 'a new key' }],
  ];
  for (const [answer, kind, said] of ends) {
    await assert.rejects(place(new ScriptedGateway([answer]), { key: 'k' }), (error: Error) => {
      assert.ok(error instanceof kind);
      for (const [name, value] of Object.entries({ ...said, key: 'k', sagaId: 's1', name: kind.name })) {
        assert.deepEqual((error as unknown as Record<string, unknown>)[name], value);
      }
      return true;
    });
  }
});

test('a refusal before anything was begun is thrown at once', async () => {
  const gateway = new ScriptedGateway([refused('BAD_USER_INPUT', { status: 200, retryable: false })]);
  await assert.rejects(place(gateway), BadUserInput);
  assert.equal(gateway.asked.length, 1);
});

test('when time is up the key is told, and the saga where it is known', async () => {
  const gone = new ScriptedGateway([dropped()]);
  await assert.rejects(place(gone, { key: 'k', deadline: 5 }), (error: NotSettled) => error instanceof NotSettled && error.key === 'k' && !error.sagaId);
  assert.ok(gone.clock.now() <= 5);
  const slow = new ScriptedGateway([accepted(), looked('RUNNING')]);
  await assert.rejects(place(slow, { key: 'k', deadline: 4 }), (error: NotSettled) => error instanceof NotSettled && error.sagaId === 's1');
  assert.ok(slow.clock.now() <= 4);
});

// -- events

async function numbers(gateway: ScriptedGateway, options: object = {}, settings: object = {}): Promise<number[]> {
  const seen: number[] = [];
  for await (const { sequence } of gateway.client(settings).sagaEvents({ id: 's1', after: 2 }, options)) seen.push(sequence);
  return seen;
}

test('events come once and in order over several connections', async () => {
  const gateway = new ScriptedGateway([], [[event(3, 'RUNNING'), event(4, 'RUNNING'), new StreamBroken()], [], [event(5, 'COMPLETED')]]);
  assert.deepEqual(await gateway.clock.run(numbers(gateway)), [3, 4, 5]);
  assert.deepEqual(gateway.watched.map(({ after }) => after), [2, 4, 4]);
});

test('a gateway that does not come back ends following, and so does a deadline', async () => {
  const gone = new ScriptedGateway([]);
  await assert.rejects(gone.clock.run(numbers(gone, {}, { sagaDeadline: 20 })), NoAnswer);
  assert.ok(gone.clock.now() <= 20);
  const silent = new ScriptedGateway([], [[event(3, 'RUNNING'), 3600]]);
  await assert.rejects(silent.clock.run(numbers(silent, { deadline: 30 })), NoAnswer);
  assert.equal(silent.clock.now(), 30);
});

test('a connection that was open and had nothing to tell is a sign of the gateway', async () => {
  const gateway = new ScriptedGateway([], [[], [3600, new StreamBroken()], [event(5, 'COMPLETED')]]);
  assert.deepEqual(await gateway.clock.run(numbers(gateway, {}, { sagaDeadline: 20 })), [5]);
});

test('a saga that is not there is said at once', async () => {
  const missing = graphError({ message: 'm', extensions: { code: 'SAGA_NOT_FOUND', retryable: false } });
  const gateway = new ScriptedGateway([], [[missing]]);
  await assert.rejects(gateway.clock.run(numbers(gateway)), SagaNotFound);
});
