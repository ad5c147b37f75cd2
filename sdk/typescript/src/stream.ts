/**
 * One subscription over one WebSocket, by graphql-ws.
 *
 * Invariant: the stream ends quietly only if the gateway says that it is complete; whatever else ends it is `StreamBroken`, or the
 * GraphQL error that the gateway told.
 */

import { createClient } from 'graphql-ws';
import { type ErrorEntry, graphError } from './errors.js';
import type { Headers } from './transport.js';

/** Seconds between pings; a gateway that does not answer one within `PONG_WITHIN` is gone. */
const PING_EVERY = 20;
const PONG_WITHIN = 5;

/** Close codes with which the gateway refuses the token. */
const REFUSED: ReadonlySet<number> = new Set([4401, 4403]);

/** The connection was refused, dropped, or spoke something else. */
export class StreamBroken extends Error {
  override name = 'StreamBroken';
}

export interface Request {
  readonly query: string;
  readonly variables: Readonly<Record<string, unknown>>;
}

export type Events = AsyncGenerator<Readonly<Record<string, unknown>>, void, undefined>;

/** How a subscription is read: the data of each event, until `leaving` is aborted. Throws: StreamBroken, GraphError. */
export type Stream = (url: string, request: Request, headers: Headers, leaving: AbortSignal) => Events;

/** A `Stream` over a connection of its own. `webSocket`: the class, where the platform has none (Node below 22). */
export function overWebSocket(webSocket: unknown = globalThis.WebSocket): Stream {
  return async function* (url, request, headers, leaving) {
    if (!webSocket) throw new StreamBroken('this platform has no WebSocket: hand one in as the option webSocket');
    const client = createClient({
      url: url.replace(/^http/, 'ws'),
      webSocketImpl: webSocket,
      connectionParams: { ...headers },
      retryAttempts: 0,
      onNonLazyError: () => undefined,
      ...keptAlive(),
    });
    const leave = () => void client.dispose(); // a generator that waits for an event cannot be told to return
    leaving.addEventListener('abort', leave, { once: true });
    try {
      for await (const event of client.iterate<Record<string, unknown>>({ query: request.query, variables: { ...request.variables } })) {
        if (!event.data) throw event.errors ?? [];
        yield event.data;
      }
    } catch (error) {
      throw told(error);
    } finally {
      leaving.removeEventListener('abort', leave);
      leave();
    }
  };
}

/** GraphQL errors come as a list, whatever ends a connection as an event or an error. */
function told(error: unknown): Error {
  if (Array.isArray(error)) return graphError((error[0] ?? {}) as ErrorEntry);
  const { code, reason, message } = (error ?? {}) as { code?: number; reason?: string; message?: string };
  if (code !== undefined && REFUSED.has(code)) return graphError({ message: reason ?? '', extensions: { code: 'UNAUTHENTICATED' } });
  return new StreamBroken(`the connection ended: ${[code, reason || message].filter(Boolean).join(' ')}`);
}

/** Options that close a connection whose other end is silent. */
function keptAlive() {
  let socket: { close(code: number, reason: string): void } | undefined;
  let waiting: ReturnType<typeof setTimeout> | undefined;
  const expect = () => {
    waiting = setTimeout(() => socket?.close(4408, 'no answer to a ping'), PONG_WITHIN * 1000);
  };
  const heard = () => clearTimeout(waiting);
  return {
    keepAlive: PING_EVERY * 1000,
    on: {
      opened: (opened: unknown) => {
        socket = opened as typeof socket;
      },
      ping: (received: boolean) => (received ? undefined : expect()),
      pong: (received: boolean) => (received ? heard() : undefined),
      closed: heard,
    },
  };
}
