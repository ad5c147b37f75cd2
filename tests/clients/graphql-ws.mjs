// graphql-ws: one WebSocket, over which all operations go. Results are handed on as they come; there is no cache.
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { error, result as seen } from "./seen.mjs";

/** `retryAttempts: 0`: a connection that breaks is told to the user, who knows from where to go on. */
const made = ({ url, headers }) =>
  createClient({
    url: url.replace("http", "ws"),
    webSocketImpl: WebSocket, // Node 20 has none of its own
    connectionParams: headers,
    retryAttempts: 0,
  });

/** What ended an operation: the graph's errors, or the end of the connection. */
function failure(problem) {
  if (Array.isArray(problem)) return { errors: problem.map(error) };
  return { closed: { code: problem.code, reason: problem.reason } };
}

/** Every result, until the operation's end, or `take` have come. */
function all({ url, headers, take, ...payload }, { signal, tell }) {
  const client = made({ url, headers });
  const parts = [];
  return new Promise((resolve) => {
    const end = (ended, others) => resolve({ parts, ended, aborted: ended === "aborted", ...others });
    const dispose = client.subscribe(payload, {
      next(result) {
        parts.push(seen(result));
        tell(parts.at(-1));
        if (parts.length === take) setTimeout(() => (dispose(), end("left")));
      },
      error(problem) {
        const failed = failure(problem);
        if (failed.errors) parts.push(failed);
        end("failed", failed);
      },
      complete: () => end(signal.aborted ? "aborted" : "complete"),
    });
    signal.addEventListener("abort", dispose);
  });
}

/** The one result; what broke instead of it. */
async function once(payload, around) {
  const { parts, ended, ...failed } = await all(payload, around);
  return { ...parts[0], ...failed };
}

export const does = {
  query: once,
  onError: once,
  mutate: ({ idempotencyKey, variables, ...asking }, around) =>
    once({ ...asking, variables: { ...variables, key: idempotencyKey } }, around),
  defer: all,
  stream: all,
  subscribe: all,
  subscribeOverWebSocket: all,
  trusted: ({ query, ids, ...asking }, around) => once({ ...asking, query: "", documentId: ids.Trusted }, around),
};

export const cannot = {
  get: "everything goes over its WebSocket",
  status_294: "everything goes over its WebSocket",
  persisted: "it has no such protocol; send trusted documents",
  defer2022: "it reads no dialect itself, and gets today's",
  defer_refused2022: "it reads no dialect itself, and gets today's",
};

export const notes = {
  mutation: "a header is one of the connection: pass the key as the argument `idempotencyKey`",
  refused: "the connection is closed with 4403",
  defer: "the parts as they came; your code puts them together",
  defer_fails: "the parts as they came; your code puts them together",
  defer_refused: "the parts as they came; your code puts them together",
  stream: "the parts as they came; your code puts them together",
  resumed: "with `retryAttempts: 0`: by itself it would begin again where it began",
  trusted: "`documentId` beside an empty `query`, without which it sends nothing",
};
