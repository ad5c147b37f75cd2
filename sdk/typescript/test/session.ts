/**
 * What the end-to-end tests let the SDK do against a running gateway: `node session.js URL WHAT`. Writes one line of JSON.
 */

import { WebSocket } from 'ws';
import { Client, GraphError, SagaEnded } from '../src/index.js';
import { ORDER } from './scripted.js';

const [url = '', what = ''] = process.argv.slice(2);
const input = { ...ORDER, customerId: 'Q3VzdG9tZXI6Yy0wMDE', lines: [{ sku: 'SKU-0003', quantity: 1 }] };

const sessions: Record<string, () => Promise<object>> = {
  async place() {
    const { data } = await client({}).placeOrder({ input });
    return { sagaId: data.sagaId, order: data.order };
  },
  /** Asks in short requests, so that the saga is followed by its events. */
  async follow() {
    const { data } = await client({ attemptTimeout: 1 }).placeOrder({ input });
    const events: number[] = [];
    for await (const { sequence } of client({}).sagaEvents({ id: data.sagaId })) events.push(sequence);
    return { sagaId: data.sagaId, events };
  },
  async decline() {
    const error = await client({}).placeOrder({ input: { ...input, paymentToken: 'tok_declined' } }).catch((error) => error);
    return { kind: error.constructor.name, code: error.code, isEnd: error instanceof SagaEnded };
  },
  async shelf() {
    const { data, degraded } = await client({}).productShelf({ first: 2 });
    return { names: data.products?.edges.map(({ node }) => node.name), degraded };
  },
  async stranger() {
    const stranger = client({ token: 'nobody' });
    const asked = await stranger.productShelf().catch((error) => error);
    const followed = await stranger.sagaEvents({ id: 's' }).next().catch((error) => error);
    return { asked: asked.constructor.name, followed: followed.constructor.name, isGraph: asked instanceof GraphError };
  },
};

function client(options: object): Client {
  return new Client(url, { token: 'demo-customer', webSocket: WebSocket, ...options });
}

console.log(JSON.stringify(await sessions[what]!()));
