// urql's core, as its documentation sets it up: a document cache, then fetch, which streams too.
import { Client, cacheExchange, fetchExchange, subscriptionExchange } from "@urql/core";
import { persistedExchange } from "@urql/exchange-persisted";
import { createClient } from "graphql-ws";
import { pipe, subscribe } from "wonka";
import WebSocket from "ws";
import { result as seen, watched } from "./seen.mjs";

const OF_2022 = "multipart/mixed;deferSpec=20220824, application/graphql-response+json";

function made({ url, headers }, { exchanges = [cacheExchange, fetchExchange], accept, ...options } = {}) {
  const { fetch, requests } = watched();
  const fetchOptions = { headers: { ...headers, ...(accept && { accept }) } };
  const common = { url, exchanges, fetch, fetchOptions, fetchSubscriptions: true };
  return { client: new Client({ ...common, ...options }), requests };
}

function told({ data, error, extensions }) {
  const errors = error?.graphQLErrors.length ? error.graphQLErrors : undefined;
  return { ...seen({ data, errors, extensions }), ...(error?.networkError && { failed: error.networkError.message }) };
}

/** The first answer, or that the user has left. */
function once(source, { requests }, { signal }) {
  return new Promise((resolve) => {
    const { unsubscribe } = pipe(
      source,
      subscribe((result) => {
        if (!result.stale && !result.hasNext) resolve({ ...told(result), requests });
      }),
    );
    signal.addEventListener("abort", () => (unsubscribe(), resolve({ aborted: true })));
  });
}

const asked = (make, { query, variables }, around) => once(make.client.query(query, variables), make, around);

/** Every result of a source, until it has no next one, or `take` have come. */
function all(source, { requests, take }, { signal, tell }) {
  const parts = [];
  return new Promise((resolve) => {
    const end = (ended, broken) => resolve({ parts, ended, broken, requests, aborted: ended === "aborted" });
    const { unsubscribe } = pipe(
      source,
      subscribe((result) => {
        const part = told(result);
        if (part.failed) return end("failed", part.failed);
        const isTheEnd = !result.hasNext && JSON.stringify(part) === JSON.stringify(parts.at(-1)); // which repeats the last one
        if (!isTheEnd) (parts.push(part), tell(part));
        if (parts.length === take) setTimeout(() => (unsubscribe(), end("left")));
        else if (!result.hasNext) end("complete");
      }),
    );
    signal.addEventListener("abort", () => (unsubscribe(), end("aborted")));
  });
}

async function inParts(asking, around) {
  const { client, requests } = made(asking, asking.dialect === "2022" ? { accept: OF_2022 } : {});
  const { query, variables } = asking;
  const found = await all(client.query(query, variables), { requests }, around);
  return { ...found, cached: client.readQuery(query, variables)?.data };
}

function subscribed(asking, around, options) {
  const { client, requests } = made(asking, options);
  return all(client.subscription(asking.query, asking.variables), { requests, take: asking.take }, around);
}

export const does = {
  query: (asking, around) => asked(made(asking), asking, around),
  get: (asking, around) => asked(made(asking, { preferGetMethod: "force" }), asking, around),
  mutate(asking, around) {
    const make = made(asking);
    const fetchOptions = { headers: { ...asking.headers, "idempotency-key": asking.idempotencyKey } };
    return once(make.client.mutation(asking.query, asking.variables, { fetchOptions }), make, around);
  },
  defer: inParts,
  stream: (asking, around) => inParts({ ...asking, dialect: "2022" }, around),
  subscribe: subscribed,
  subscribeOverWebSocket(asking, around) {
    const connectionParams = asking.headers;
    const socket = createClient({ url: asking.url.replace("http", "ws"), webSocketImpl: WebSocket, connectionParams });
    const forwardSubscription = (request) => ({
      subscribe: (sink) => ({ unsubscribe: socket.subscribe({ ...request, query: request.query ?? "" }, sink) }),
    });
    const exchanges = [cacheExchange, fetchExchange, subscriptionExchange({ forwardSubscription })];
    return subscribed(asking, around, { exchanges, fetchSubscriptions: false });
  },
  trusted(asking, around) {
    const generateHash = async (_, { definitions: [{ name }] }) => asking.ids[name.value].replace("sha256:", "");
    const trusting = persistedExchange({ enforcePersistedQueries: true, preferGetForPersistedQueries: false, generateHash });
    return asked(made(asking, { exchanges: [cacheExchange, trusting, fetchExchange] }), asking, around);
  },
  async persisted(asking, around) {
    const make = made(asking, {
      exchanges: [cacheExchange, persistedExchange({ preferGetForPersistedQueries: true }), fetchExchange],
    });
    await asked(make, asking, around);
    const again = make.client.query(asking.query, asking.variables, { requestPolicy: "network-only" });
    return once(again, make, around);
  },
};

export const cannot = {
  onError: "it sends no such member; a `fetch` of your own can add it",
  defer_refused: "errors of a fragment that is missing are passed over, in today's dialect",
};

export const notes = {
  query: "by GET where the URL is short enough, unless `preferGetMethod` is false: a browser's page of another origin must be listed",
  defer2022: "for `Accept: multipart/mixed;deferSpec=20220824, application/graphql-response+json` in `fetchOptions`",
  stream: "in the dialect of 2022 (`Accept` in `fetchOptions`): items of today's it puts in the wrong place",
  subscription: "as server-sent events, with `fetchSubscriptions: true`",
  trusted: "as the hash of `persistedExchange`, with `generateHash` from the manifest and `enforcePersistedQueries`",
};
