/**
 * The client of a SagaQL graph: `await new Client(url, { token }).placeOrder({ input })`.
 *
 * Types and methods in `graph.ts` are generated from the schema; the rest is what no generator makes.
 */

export type { Clock } from './clock.js';
export { type CallOptions, newKey, type Options, type SagaOptions } from './core.js';
export * from './errors.js';
export * from './graph.js';
export { type Degradation, type Degraded, Result } from './result.js';
export type { RetrySettings } from './retry.js';
export { type Stream, StreamBroken } from './stream.js';
export type { Fetch } from './transport.js';
