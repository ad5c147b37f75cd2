/** Time, handed in: tests have one of their own. */
export interface Clock {
  /** Seconds, from any beginning; never goes back. */
  now(): number;
  /** Rejects with the signal's reason when it is aborted. */
  sleep(seconds: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => performance.now() / 1000,
  sleep: (seconds, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const stop = () => (clearTimeout(timer), reject(signal?.reason));
      const timer = setTimeout(() => (signal?.removeEventListener('abort', stop), resolve()), seconds * 1000);
      signal?.addEventListener('abort', stop, { once: true });
    }),
};

/** What `work` answers, unless `seconds` pass before: then undefined, and what it comes to is nobody's. */
export async function within<T>(clock: Clock, seconds: number, work: Promise<T>, signal?: AbortSignal): Promise<T | undefined> {
  const over = new AbortController();
  const watched = signal ? AbortSignal.any([over.signal, signal]) : over.signal;
  const late = clock.sleep(seconds, watched).then(() => undefined);
  late.catch(() => undefined);
  work.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    over.abort();
  }
}
