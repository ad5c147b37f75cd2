// Relay's network layer for the gateway: answers in one piece or in parts over HTTP, subscriptions over WebSocket.
// Sources: Relay's guides "Network Layer", "Persisted Queries" and "GraphQL Subscriptions".
import { createClient } from "graphql-ws";
import { meros } from "meros/browser";
import relay from "relay-runtime";
import WebSocket from "ws";
import { PartsOf2022, PartsOfToday } from "./parts.mjs";

const WHOLE = "application/graphql-response+json, application/json";
const DIALECTS = {
  v0: { accept: `multipart/mixed;incrementalSpec=v0.2, ${WHOLE}`, Parts: PartsOfToday },
  2022: { accept: `multipart/mixed;deferSpec=20220824, ${WHOLE}`, Parts: PartsOf2022 },
};

/** `byId`: the compiler's ids go instead of texts. `members`: others of each request. */
export function networkOf(url, { fetch = globalThis.fetch, headers = {}, byId = false, members = {}, dialect = "v0" }) {
  const { accept, Parts } = DIALECTS[dialect];
  const named = byId ? ({ id }) => ({ documentId: id }) : ({ text }) => ({ query: text });
  const socket = { url: url.replace(/^http/, "ws"), webSocketImpl: WebSocket, retryAttempts: 0 };
  const sockets = createClient({ ...socket, connectionParams: headers });

  function execute(operation, variables) {
    return relay.Observable.create((sink) => {
      const leaving = new AbortController();
      const request = {
        method: "POST",
        headers: { "content-type": "application/json", accept, ...headers },
        body: JSON.stringify({ ...named(operation), variables, ...members }),
        signal: leaving.signal,
      };
      read(fetch(url, request), new Parts(), sink).then(
        () => sink.complete(),
        (error) => leaving.signal.aborted || sink.error(error),
      );
      return () => leaving.abort();
    });
  }

  function subscribe(operation, variables) {
    const request = { operationName: operation.name, query: operation.text, variables };
    return relay.Observable.create((sink) => sockets.subscribe(request, sink));
  }

  return { network: relay.Network.create(execute, subscribe), close: () => sockets.dispose() };
}

/** An answer in one piece is the last one: else the store would wait for what is deferred in it. */
async function read(response, parts, sink) {
  const answer = await meros(await response);
  if (answer instanceof Response) {
    const whole = await answer.json();
    sink.next({ ...whole, extensions: { ...whole.extensions, is_final: true } });
    return;
  }
  for await (const { body } of answer) {
    const told = parts.taken(body);
    if (told.length > 0) sink.next(told);
  }
}
