/** How a saga stands, read from a mutation's payload: the members that every saga has, whatever the graph. */

import { Conflict, Failed, NeedsAttention, Rejected, type SagaEnded } from './errors.js';

/** Statuses in which the mutation, sent again, tells an outcome. */
export const SETTLED: ReadonlySet<string> = new Set(['COMPLETED', 'COMPENSATED', 'NEEDS_ATTENTION']);

/** What every member of a payload may have. */
export interface Payload {
  readonly __typename: string;
  readonly sagaId: string;
  readonly status: string;
  readonly code?: string;
  readonly message?: string;
  readonly undone?: readonly string[];
}

/** Whether it is durable and still running. */
export function isAccepted(payload: Payload): boolean {
  return payload.__typename === 'SagaAccepted';
}

/** What the payload throws; undefined for success. */
export function errorOf(payload: Payload): SagaEnded | undefined {
  const { code = '', message = '', undone = [] } = payload;
  switch (payload.__typename) {
    case 'SagaRejected':
      return new Rejected(message, payload, code);
    case 'SagaFailed':
      return new Failed(`it did not work (${code}), and what had been done is undone`, payload, code, undone);
    case 'SagaNeedsAttention':
      return new NeedsAttention(`it waits for a person (${code})`, payload, code);
    case 'IdempotencyConflict':
      return new Conflict(message, payload);
    default:
      return undefined;
  }
}
