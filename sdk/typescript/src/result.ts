/**
 * An answer as its caller reads it: the data, what is missing of it, and what stands in for something better.
 *
 * Invariant: partial data is data. Nothing is thrown for a field that is null with an error; both are here.
 */

import type { GraphError } from './errors.js';

/** What was answered in place of what was asked; the schema's enum of this name says what each means. */
export type Degradation = 'NULL' | 'DEFAULT' | 'STALE' | 'ALTERNATIVE' | 'PARTIAL';

/** One field that was answered with less than was asked, as the schema's `@degrades` announces. */
export interface Degraded {
  /** As in `errors`: names of the answer, and places in lists, without which OVERLOADED holds for all. */
  readonly path: readonly (string | number)[];
  readonly to: Degradation;
  /** Of the failure behind it; the codes are those of `errors`. */
  readonly code: string;
  readonly reason: string;
  readonly service: string | null;
  readonly retryable: boolean;
  /** Of a `STALE` answer. */
  readonly ageSeconds?: number;
  /** Of an `ALTERNATIVE`: whose answer it is. */
  readonly servedBy?: string;
}

/** What a query, or a mutation that is done, answers. */
export class Result<D> {
  constructor(
    readonly data: D,
    /** Of fields that are null because something failed. */
    readonly errors: readonly GraphError[] = [],
    readonly degraded: readonly Degraded[] = [],
    readonly extensions: Readonly<Record<string, unknown>> = {},
  ) {}

  /** Whether everything is as it was asked for. */
  get isWhole(): boolean {
    return this.errors.length === 0 && this.degraded.length === 0;
  }

  /** The data, for callers who can use nothing but all of it. Throws: the first of `errors`. */
  whole(): D {
    const [error] = this.errors;
    if (error) throw error;
    return this.data;
  }
}
