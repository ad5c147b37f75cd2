/**
 * Retry: the same request again, after a random wait. Decides, and waits for nothing.
 *
 * Invariants: a wait that would reach the deadline is no wait; what the gateway asked for in `Retry-After` is a floor, and the jitter
 * comes on top of it, so that those who were sent away together do not come back together.
 * Source: Brooker, Exponential Backoff And Jitter, 2015 (full jitter).
 */

export interface RetrySettings {
  /**
   * All attempts of a query, the first included. 4: the gateway retries its services itself, and every retry is load.
   * A saga is tried until its deadline, since giving up sooner would only leave its outcome unknown.
   */
  readonly attempts?: number;
  /** Seconds: upper end of the first wait; it doubles each time. 0.1: a restarted connection is back by then. */
  readonly base?: number;
  /** Seconds: upper end of any wait. 3: a gateway restarts in about as long. */
  readonly cap?: number;
}

export class Retry {
  readonly attempts: number;
  readonly base: number;
  readonly cap: number;

  constructor({ attempts = 4, base = 0.1, cap = 3 }: RetrySettings = {}) {
    if (attempts < 1) throw new RangeError(`attempts is ${attempts}: the first attempt counts, so it is at least 1`);
    if (!(base > 0 && base <= cap)) throw new RangeError(`base is ${base} and cap ${cap}: 0 < base <= cap must hold`);
    this.attempts = attempts;
    this.base = base;
    this.cap = cap;
  }

  /** Seconds after the `failed`-th attempt (from 1) failed; `jitter` in [0, 1). */
  wait(failed: number, jitter: number, floor = 0): number {
    return floor + Math.min(this.cap, this.base * 2 ** (failed - 1)) * jitter;
  }

  /** The wait before another attempt, or undefined to give up. `patient`: only the time that is `left` bounds the attempts. */
  nextWait(failed: number, { jitter, floor, left, patient }: NextWait): number | undefined {
    if (failed >= this.attempts && !patient) return undefined;
    const wait = this.wait(failed, jitter, floor);
    return wait >= left ? undefined : wait;
  }
}

interface NextWait {
  readonly jitter: number;
  readonly floor: number;
  readonly left: number;
  readonly patient: boolean;
}
