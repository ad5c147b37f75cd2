/** A gateway without sockets, and time that moves when everybody waits for it. */

import { Client, type Options, StreamBroken } from '../src/index.js';
import type { Clock } from '../src/clock.js';

/** Time stands still while anything can go on. */
export class VirtualClock implements Clock {
  private time = 0;
  private readonly sleepers = new Set<{ at: number; wake: () => void }>();

  now(): number {
    return this.time;
  }

  sleep(seconds: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const sleeper = { at: this.time + seconds, wake: resolve };
      this.sleepers.add(sleeper);
      signal?.addEventListener('abort', () => (this.sleepers.delete(sleeper), reject(signal.reason)), { once: true });
    });
  }

  /** What `work` comes to. Throws where nobody would ever wake. */
  async run<T>(work: Promise<T>): Promise<T> {
    const state = { ended: false };
    work.then(
      () => (state.ended = true),
      () => (state.ended = true),
    );
    for (;;) {
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
      if (state.ended) return work;
      const [next] = [...this.sleepers].sort((one, other) => one.at - other.at);
      if (!next) throw new Error('everybody waits, and for nothing');
      this.sleepers.delete(next);
      this.time = next.at;
      next.wake();
    }
  }
}

/** An answer, a broken connection, or so many seconds of silence before the next step. */
export type Step = Answered | Error | number;
export interface Answered {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Record<string, string>;
}

export interface Asked {
  readonly at: number;
  readonly headers: Record<string, string>;
  readonly body: { query: string; variables: Record<string, unknown> };
}

export class ScriptedGateway {
  readonly clock = new VirtualClock();
  readonly asked: Asked[] = [];
  /** Variables of each subscription. */
  readonly watched: Record<string, unknown>[] = [];

  /** Requests take the steps in their order, and the last again and again; each connection its events, none is a refusal. */
  constructor(
    private readonly script: Step[],
    private readonly streams: (Record<string, unknown> | Error | number)[][] = [],
  ) {}

  client(options: Options = {}): Client {
    return new Client('http://gateway.test/graphql', {
      clock: this.clock,
      random: () => 0.5,
      fetch: (_, init) => this.answer(init ?? {}),
      stream: (_, request, __, leaving) => this.stream(request.variables, leaving),
      ...options,
    });
  }

  get keys(): (string | undefined)[] {
    return this.asked.map(({ headers }) => headers['idempotency-key']);
  }

  private async answer({ headers, body, signal }: RequestInit): Promise<Response> {
    this.asked.push({ at: this.clock.now(), headers: headers as Record<string, string>, body: JSON.parse(body as string) });
    for (;;) {
      const step = this.script.length > 1 ? this.script.shift() : this.script[0];
      if (step instanceof Error) throw step;
      if (typeof step === 'object') return new Response(JSON.stringify(step.body), { status: step.status, headers: step.headers ?? {} });
      await this.clock.sleep(step ?? 0, signal ?? undefined);
    }
  }

  private async *stream(variables: Record<string, unknown>, leaving: AbortSignal) {
    this.watched.push(variables);
    const events = this.streams.shift() ?? [];
    if (events.length === 0) throw new StreamBroken('refused');
    for (const event of events) {
      if (event instanceof Error) throw event;
      if (typeof event === 'number') await this.clock.sleep(event, leaving);
      else yield { sagaEvents: event };
    }
  }
}

export const ORDER = {
  customerId: 'c',
  lines: [{ sku: 'SKU-1', quantity: 1 }],
  paymentToken: 'tok_ok',
  address: { name: 'Ada', street: '1 Row', city: 'London', postalCode: 'SW1Y 4JH', country: 'GB' },
};

export const dropped = () => new TypeError('fetch failed');
export const data = (value: unknown, others: object = {}): Answered => ({ status: 200, body: { data: value, ...others } });

export function refused(code: string, { status = 503, retryable = true, headers = {} } = {}): Answered {
  return { status, headers, body: { errors: [{ message: 'no', extensions: { code, retryable } }] } };
}

export function outcome(typename: string, status: string, fields: object = {}): Answered {
  return data({ placeOrder: { __typename: typename, sagaId: 's1', status, ...fields } });
}

export const accepted = () => outcome('SagaAccepted', 'RUNNING');
export const completed = () => outcome('PlaceOrderCompleted', 'COMPLETED', { order: { id: 'o1' } });
export const event = (sequence: number, status: string) => ({ sequence, saga: { status } });
export const looked = (status: string) => data({ saga: { status } });
