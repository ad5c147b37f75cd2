/**
 * What generated methods stand on: queries, sagas that are followed to their end, and their events.
 *
 * Invariants: a mutation has one idempotency key, made before the first attempt and sent with every other; only what may safely be
 * sent twice is sent twice: queries, and mutations under their key; nothing is waited for beyond the deadline; a mutation ends in its
 * success, in how its saga ended, in an error after which nothing was begun, or in `NotSettled` with the key that finds out.
 */

import type { DocumentTypeDecoration } from '@graphql-typed-document-node/core';
import { type Clock, systemClock, within } from './clock.js';
import { GraphError, NoAnswer, NotSettled, SagaQLError } from './errors.js';
import { errorOf, isAccepted, type Payload, SETTLED } from './outcome.js';
import { type Degraded, Result } from './result.js';
import { Retry, type RetrySettings } from './retry.js';
import { type Events, overWebSocket, type Stream, StreamBroken } from './stream.js';
import { type Answer, type Fetch, type Headers, Transport } from './transport.js';

const WATCH = 'subscription ($id: ID!, $after: Int!) { sagaEvents(id: $id, after: $after) { sequence saga { status } } }';
const LOOK = 'query ($id: ID!) { saga(id: $id) { status } }';
/** Seconds: a connection that lasted longer was open, though it may have had nothing to tell. */
const OPENED_WITHIN = 10;

/** Durations are seconds. */
export interface Options {
  readonly token?: string;
  /** Of a query, all attempts included. 10: the gateway's own. */
  readonly deadline?: number;
  /** Of a mutation, until its saga has ended. 60: twice what the shop's sagas give themselves. */
  readonly sagaDeadline?: number;
  /** Of one request; a lost answer costs no more. 15: longer than a gateway lets a mutation wait. */
  readonly attemptTimeout?: number;
  readonly retry?: RetrySettings;
  /** The WebSocket class, where the platform has none; without any, sagas are looked at instead of watched. */
  readonly webSocket?: unknown;
  readonly fetch?: Fetch;
  readonly stream?: Stream;
  readonly clock?: Clock;
  readonly random?: () => number;
}

export interface CallOptions {
  /** Seconds. */
  readonly deadline?: number;
  /** Whoever aborts it is rid of the call; a saga that was begun goes on. */
  readonly signal?: AbortSignal;
}

export interface SagaOptions extends CallOptions {
  /** The idempotency key, where the intent must outlive this process; otherwise one is made. */
  readonly key?: string;
}

type Document<D> = DocumentTypeDecoration<D, never> | DocumentTypeDecoration<D, any>;
type Variables = Readonly<Record<string, unknown>>;

interface Asking {
  readonly until: number;
  readonly signal: AbortSignal | undefined;
  readonly headers?: Headers;
  readonly patient?: boolean;
}

/** Of a saga that is watched: its last event, and what went wrong since. */
interface Seen {
  after: number;
  failed: number;
  cause?: unknown;
}

/** A gateway's graph, for one caller. */
export class Core {
  private readonly deadline: number;
  private readonly sagaDeadline: number;
  private readonly attemptTimeout: number;
  private readonly retry: Retry;
  private readonly credentials: Headers;
  private readonly clock: Clock;
  private readonly random: () => number;
  private readonly stream: Stream;
  private readonly transport: Transport;

  /** `url`: of the graph, such as http://127.0.0.1:8000/graphql. */
  constructor(
    private readonly url: string,
    options: Options = {},
  ) {
    if (!/^https?:\/\//.test(url)) throw new RangeError(`url is '${url}': it must begin with http:// or https://`);
    this.deadline = positive('deadline', options.deadline ?? 10);
    this.sagaDeadline = positive('sagaDeadline', options.sagaDeadline ?? 60);
    this.attemptTimeout = positive('attemptTimeout', options.attemptTimeout ?? 15);
    this.retry = new Retry(options.retry);
    this.credentials = options.token === undefined ? {} : { authorization: `Bearer ${options.token}` };
    this.clock = options.clock ?? systemClock;
    this.random = options.random ?? Math.random;
    this.stream = options.stream ?? overWebSocket(options.webSocket);
    const fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
    this.transport = new Transport(url, this.credentials, fetch, this.clock);
  }

  // -- queries

  /** Throws: GraphError when there is no data at all, NoAnswer. */
  protected async query<D>(document: Document<D>, variables: Variables, options: CallOptions): Promise<Result<D>> {
    const until = this.until(options.deadline ?? this.deadline);
    const answer = await this.answer(String(document), variables, { until, signal: options.signal });
    return resultOf(answer, answer.data as D);
  }

  /** The first answer with data; `patient`: as often as the time allows. Throws: what the last attempt did. */
  private async answer(query: string, variables: Variables, asking: Asking): Promise<Answer> {
    const body = JSON.stringify({ query, variables });
    for (let failed = 1; ; failed++) {
      const timeout = Math.min(Math.max(0.001, this.left(asking.until)), this.attemptTimeout);
      try {
        return await this.transport.send(body, { headers: asking.headers ?? {}, timeout, signal: asking.signal });
      } catch (error) {
        const wait = this.nextWait(error, failed, asking);
        if (wait === undefined) throw error;
        await this.clock.sleep(wait, asking.signal);
      }
    }
  }

  // -- sagas

  /**
   * Begin the saga of `field`, or find it by its key, follow it to its end, and read what came of it.
   *
   * `D`: the member of the payload that tells of success. Throws: SagaEnded, GraphError, NotSettled.
   */
  protected async settle<D>(document: Document<unknown>, field: string, variables: Variables, options: SagaOptions): Promise<Result<D>> {
    const key = options.key ?? newKey();
    const asking = { until: this.until(options.deadline ?? this.sagaDeadline), signal: options.signal, patient: true };
    let sagaId: string | undefined;
    try {
      for (let rounds = 1; ; rounds++) {
        const answer = await this.answer(String(document), variables, { ...asking, headers: { 'idempotency-key': key } });
        const payload = answer.data[field] as Payload;
        if (!isAccepted(payload)) return succeeded<D>(answer, payload);
        sagaId = payload.sagaId;
        await this.seeEnd(sagaId, asking);
        if (rounds > 1) await this.rest(rounds, asking); // it has ended, and the mutation does not say so yet: never a tight loop
      }
    } catch (error) {
      if (!(error instanceof SagaQLError)) throw error;
      if (error.retryable) throw new NotSettled(key, sagaId, error);
      error.key = key;
      throw error;
    }
  }

  /**
   * Returns when the saga is settled, or cannot be seen. Throws: NoAnswer at the deadline, and what a query throws.
   *
   * A stream that breaks, or is silent for as long as an attempt may take, is followed by a look: so a saga is seen to its end
   * where no WebSocket gets through, and where one is dead and nobody says so.
   */
  private async seeEnd(id: string, asking: Asking): Promise<void> {
    const seen: Seen = { after: 0, failed: 0 };
    for (;;) {
      if (await this.watch(id, seen, asking)) return;
      const { data } = await this.answer(LOOK, { id }, asking);
      const saga = data['saga'] as { status: string } | null;
      if (saga === null || SETTLED.has(saga.status)) return;
      await this.rest(++seen.failed, asking, seen.cause);
    }
  }

  /** Whether a stream was watched until the saga was settled, or complete. */
  private async watch(id: string, seen: Seen, asking: Asking): Promise<boolean> {
    const leaving = new AbortController();
    const events = this.open(WATCH, { id, after: seen.after }, leaving);
    try {
      for (;;) {
        const next = await this.next(events, Math.min(this.left(asking.until), this.attemptTimeout), asking.signal);
        if (next.done) return true;
        const event = next.value['sagaEvents'] as { sequence: number; saga: { status: string } };
        seen.after = event.sequence;
        seen.failed = 0;
        if (SETTLED.has(event.saga.status)) return true;
      }
    } catch (error) {
      if (!(error instanceof StreamBroken || error instanceof GraphError || error instanceof NoAnswer)) throw error;
      seen.cause = error;
      return false;
    } finally {
      leaving.abort();
    }
  }

  /**
   * Events of a saga, none lost and none twice, over as many connections as it takes; ends with the saga.
   *
   * Without a deadline it follows as long as the saga goes on, and gives up after `sagaDeadline` without a sign of the gateway.
   * Throws: GraphError (SAGA_NOT_FOUND), NoAnswer.
   */
  protected async *follow<E extends { sequence: number }>(
    document: Document<unknown>,
    field: string,
    variables: Variables,
    options: CallOptions,
  ): AsyncGenerator<E, void, undefined> {
    const until = options.deadline === undefined ? Infinity : this.until(options.deadline);
    let after = Number(variables['after'] ?? 0);
    let failed = 0;
    let goneUntil = Infinity;
    for (;;) {
      const opened = this.clock.now();
      const leaving = new AbortController();
      const events = this.open(String(document), { ...variables, after }, leaving);
      try {
        for (;;) {
          const next = await this.next(events, this.left(until), options.signal);
          if (next.done) return;
          const event = next.value[field] as E;
          after = event.sequence;
          failed = 0;
          yield event;
        }
      } catch (error) {
        const mayGoOn = error instanceof StreamBroken || (error instanceof GraphError && error.retryable);
        if (!mayGoOn) throw error;
        if (this.clock.now() - opened > OPENED_WITHIN) failed = 0; // it was open, and had nothing to tell
        failed += 1;
        if (failed === 1) goneUntil = this.until(this.sagaDeadline);
        await this.rest(failed, { until: Math.min(until, goneUntil), signal: options.signal }, error);
      } finally {
        leaving.abort();
      }
    }
  }

  private open(query: string, variables: Variables, leaving: AbortController): Events {
    return this.stream(this.url, { query, variables }, this.credentials, leaving.signal);
  }

  /** The next event. Throws: NoAnswer after `seconds`. */
  private async next(events: Events, seconds: number, signal: AbortSignal | undefined) {
    const asked = events.next();
    const next = seconds === Infinity ? await unlessAborted(asked, signal) : await within(this.clock, seconds, asked, signal);
    if (next === undefined) throw new NoAnswer('the saga has not ended in time');
    return next;
  }

  // -- time

  private until(seconds: number): number {
    return this.clock.now() + seconds;
  }

  private left(until: number): number {
    return until - this.clock.now();
  }

  private nextWait(error: unknown, failed: number, { until, patient = false }: Asking): number | undefined {
    if (!(error instanceof SagaQLError) || !error.retryable) return undefined;
    return this.retry.nextWait(failed, { jitter: this.random(), floor: error.retryAfter, left: this.left(until), patient });
  }

  /** Wait before the next connection. Throws: NoAnswer where that would reach the deadline. */
  private async rest(failed: number, { until, signal }: Asking, cause?: unknown): Promise<void> {
    const floor = cause instanceof SagaQLError ? cause.retryAfter : 0;
    const wait = this.retry.wait(failed, this.random(), floor);
    if (wait >= this.left(until)) throw new NoAnswer('the saga has not ended in time', { cause });
    await this.clock.sleep(wait, signal);
  }
}

/** An idempotency key for one intent. Keep it with the intent where that must outlive this process. */
export function newKey(): string {
  return crypto.randomUUID();
}

function positive(name: string, seconds: number): number {
  if (!(seconds > 0)) throw new RangeError(`${name} is ${seconds}: it must be above zero`);
  return seconds;
}

function succeeded<D>(answer: Answer, payload: Payload): Result<D> {
  const ended = errorOf(payload);
  if (ended) throw ended;
  return resultOf(answer, payload as D);
}

function resultOf<D>(answer: Answer, data: D): Result<D> {
  const degraded = (answer.extensions['degraded'] as readonly Degraded[] | undefined) ?? [];
  return new Result(data, answer.errors, degraded, answer.extensions);
}

/** What `work` answers, unless the signal is aborted. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  work.catch(() => undefined);
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) return stop();
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
