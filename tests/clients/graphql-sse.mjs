// graphql-sse in its default mode, distinct connections: one event stream an operation. There is no cache.
import { NetworkError, createClient } from "graphql-sse";
import { result as seen, watched } from "./seen.mjs";

/** Every result, until the operation's end, or `take` have come. */
function all({ url, headers, take, ...request }, { signal, tell }) {
  const { fetch, requests } = watched();
  // `retryAttempts: 0`: a connection that breaks is told to the user, who knows from where to go on.
  const client = createClient({ url, headers, fetchFn: fetch, retryAttempts: 0 });
  const parts = [];
  return new Promise((resolve, reject) => {
    const end = (ended, others) => resolve({ parts, ended, requests, aborted: ended === "aborted", ...others });
    const dispose = client.subscribe(request, {
      next(result) {
        parts.push(seen(result));
        tell(parts.at(-1));
        if (parts.length === take) setTimeout(() => (dispose(), end("left")));
      },
      error: (problem) => (problem instanceof NetworkError ? end("failed", { failed: problem.message }) : reject(problem)),
      complete: () => end(signal.aborted ? "aborted" : "complete"),
    });
    signal.addEventListener("abort", dispose);
  });
}

/** The one result. */
async function once(request, around) {
  const { parts, ended, ...others } = await all(request, around);
  return { ...parts[0], ...others };
}

export const does = {
  query: once,
  onError: once,
  mutate: ({ idempotencyKey, ...asking }, around) =>
    once({ ...asking, headers: { ...asking.headers, "idempotency-key": idempotencyKey } }, around),
  defer: all,
  stream: all,
  subscribe: all,
  trusted: ({ query, ids, ...asking }, around) => once({ ...asking, documentId: ids.Trusted }, around),
};

export const cannot = {
  get: "it sends everything by POST",
  subscribeOverWebSocket: "it speaks event streams, and nothing else",
  status_294: "its answers are event streams, which have status 200",
  persisted: "it has no such protocol; send trusted documents",
  defer2022: "it reads no dialect itself, and gets today's",
  defer_refused2022: "it reads no dialect itself, and gets today's",
};

export const notes = {
  mutation: "headers are those of the client: one client for each key, or the argument `idempotencyKey`",
  refused: "as an event: its answers have status 200",
  defer: "the parts as they came; your code puts them together",
  defer_fails: "the parts as they came; your code puts them together",
  defer_refused: "the parts as they came; your code puts them together",
  stream: "the parts as they came; your code puts them together",
  resumed: "with `retryAttempts: 0`: by itself it would begin again where it began",
  trusted: "`documentId` in place of `query`",
};
