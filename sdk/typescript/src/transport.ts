/**
 * One attempt over HTTP: a request out, a GraphQL answer in, or an error that says whether to try again.
 *
 * Source: the GraphQL-over-HTTP specification (draft); RFC 9110 for Retry-After.
 */

import { type Clock } from './clock.js';
import { type ErrorEntry, graphError, GraphError, NoAnswer } from './errors.js';

const ACCEPT = 'application/graphql-response+json, application/json;q=0.9';
/** Statuses with which something between us and the gateway says "not now". */
const TRY_AGAIN: ReadonlySet<number> = new Set([429, 502, 503, 504]);
/** Seconds of an attempt that are kept for the way back, so that what the gateway has by its deadline is read by ours. */
const TRAVEL = 0.2;

export type Fetch = typeof globalThis.fetch;
export type Headers = Readonly<Record<string, string>>;

/** A GraphQL answer with data. */
export interface Answer {
  readonly data: Readonly<Record<string, unknown>>;
  readonly errors: readonly GraphError[];
  readonly extensions: Readonly<Record<string, unknown>>;
}

export interface Attempt {
  readonly headers: Headers;
  /** Seconds. */
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
}

export class Transport {
  constructor(
    private readonly url: string,
    private readonly credentials: Headers,
    private readonly fetch: Fetch,
    private readonly clock: Clock,
  ) {}

  /** Throws: GraphError, NoAnswer. Aborted: the connection closes, and the gateway stops a query. */
  async send(body: string, { headers, timeout, signal }: Attempt): Promise<Answer> {
    const late = new AbortController();
    const answered = new AbortController();
    this.clock.sleep(timeout, answered.signal).then(
      () => late.abort(),
      () => undefined,
    );
    const told = { 'content-type': 'application/json', accept: ACCEPT, ...this.credentials, ...headers };
    const deadline = { 'x-request-timeout-ms': String(leftForGateway(timeout)) };
    const either = signal ? AbortSignal.any([late.signal, signal]) : late.signal;
    try {
      const response = await this.fetch(this.url, { method: 'POST', body, headers: { ...told, ...deadline }, signal: either });
      return read(response.status, await response.text(), response.headers.get('retry-after'));
    } catch (error) {
      if (error instanceof NoAnswer || error instanceof GraphError) throw error;
      signal?.throwIfAborted();
      if (late.signal.aborted) throw new NoAnswer(`the gateway did not answer within ${timeout.toFixed(1)} s`, { cause: error });
      throw new NoAnswer(`the gateway cannot be reached: ${reason(error)}`, { cause: error });
    } finally {
      answered.abort();
    }
  }
}

/** The answer. Throws: GraphError for one without data, NoAnswer for what is none. */
export function read(status: number, content: string, retryAfter: string | null): Answer {
  const answer = graphql(content);
  if (isObject(answer?.data)) {
    return { data: answer.data, errors: (answer.errors ?? []).map(graphError), extensions: answer.extensions ?? {} };
  }
  const [first] = answer?.errors ?? [];
  const error = first
    ? graphError(first)
    : new NoAnswer(`what answered ${status} is no GraphQL`, { status, retryable: TRY_AGAIN.has(status) });
  error.retryAfter = Math.max(error.retryAfter, secondsOf(retryAfter, Date.now() / 1000));
  throw error;
}

/** The header, of seconds or a date; 0 for one that is missing or neither. `now`: seconds since 1970. */
export function secondsOf(retryAfter: string | null, now: number): number {
  const text = retryAfter?.trim() ?? '';
  if (/^\d+$/.test(text)) return Number(text.slice(0, 9));
  const date = /[a-z]/i.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(date) ? 0 : Math.max(0, date / 1000 - now);
}

interface Written {
  readonly data?: unknown;
  readonly errors?: readonly ErrorEntry[];
  readonly extensions?: Readonly<Record<string, unknown>>;
}

function graphql(content: string): Written | undefined {
  try {
    const answer: unknown = JSON.parse(content);
    return isObject(answer) && ('data' in answer || 'errors' in answer) ? (answer as Written) : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function reason(error: unknown): string {
  return error instanceof Error ? `${error.message}${error.cause instanceof Error ? ` (${error.cause.message})` : ''}` : String(error);
}

function leftForGateway(timeout: number): number {
  return Math.max(1, Math.floor((timeout - Math.min(TRAVEL, timeout / 10)) * 1000));
}
