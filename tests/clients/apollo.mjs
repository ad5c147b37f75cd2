// Apollo Client 4, as its documentation sets it up: a normalising cache, an HTTP link, errors beside data.
import { createHash } from "node:crypto";
import { ApolloClient, ApolloLink, CombinedGraphQLErrors, HttpLink, InMemoryCache, ServerError, gql } from "@apollo/client";
import { Defer20220824Handler, GraphQL17Alpha9Handler } from "@apollo/client/incremental";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { createClient } from "graphql-ws";
import { map } from "rxjs";
import WebSocket from "ws";
import { error as seen, watched } from "./seen.mjs";

const HANDLERS = { v0: GraphQL17Alpha9Handler, 2022: Defer20220824Handler };

/** A client, and what it sent. `before`: links before the last one; `last`: in place of the HTTP link. */
function made({ url, headers, dialect = "v0" }, { before = [], last, ...http } = {}) {
  const { fetch, requests } = watched();
  const extensions = {};
  const keeping = new ApolloLink((operation, forward) =>
    forward(operation).pipe(map((result) => (Object.assign(extensions, result.extensions), result))),
  );
  const client = new ApolloClient({
    cache: new InMemoryCache(),
    link: ApolloLink.from([keeping, ...before, last ?? new HttpLink({ uri: url, headers, fetch, ...http })]),
    incrementalHandler: new HANDLERS[dialect](),
    defaultOptions: { query: { errorPolicy: "all" }, mutate: { errorPolicy: "all" }, watchQuery: { errorPolicy: "all" } },
  });
  return { client, requests, extensions };
}

/** What stands in `error`: the graph's errors, or the one of the network. */
function failure(error) {
  if (!error) return {};
  if (CombinedGraphQLErrors.is(error)) return { errors: error.errors.map(seen), errorExtensions: error.extensions };
  return { failed: error.name, status: ServerError.is(error) ? error.statusCode : undefined };
}

const told = ({ data, error }) => ({ data, ...failure(error) });

async function asked(make, { query, variables }, { signal }) {
  const { client, requests, extensions } = make;
  const result = await client.query({ query: gql(query), variables, context: { fetchOptions: { signal } } });
  return { ...told(result), extensions, requests, aborted: signal.aborted };
}

/** Every state of a query that is watched, until it is whole; and what the cache then has. */
function watchedQuery(asking, { signal, tell }) {
  const { client, requests } = made(asking);
  const query = gql(asking.query);
  const parts = [];
  return new Promise((resolve, reject) => {
    const watching = client.watchQuery({ query, variables: asking.variables }).subscribe({
      next(state) {
        const part = { ...told(state), state: state.dataState, networkStatus: state.networkStatus };
        if (state.dataState === "empty" && state.loading) return;
        parts.push(part);
        tell(part);
        if (state.loading) return;
        setTimeout(() => watching.unsubscribe());
        resolve({ parts, requests, cached: client.readQuery({ query, variables: asking.variables }) });
      },
      error: reject,
    });
    signal.addEventListener("abort", () => (watching.unsubscribe(), resolve({ parts, aborted: true })));
  });
}

function subscribed(asking, { signal, tell }, options) {
  const { client, requests } = made(asking, options);
  const parts = [];
  return new Promise((resolve, reject) => {
    let broken;
    const end = (ended) => resolve({ parts, ended, broken, requests });
    const subscription = client.subscribe({ query: gql(asking.query), variables: asking.variables, errorPolicy: "all" }).subscribe({
      next(result) {
        const part = told(result);
        if (part.failed) return (broken = part.failed);
        parts.push(part);
        tell(part);
        if (parts.length === asking.take) setTimeout(() => (subscription.unsubscribe(), end("left")));
      },
      error: reject,
      complete: () => end(broken ? "failed" : "complete"),
    });
    signal.addEventListener("abort", () => (subscription.unsubscribe(), end("aborted")));
  });
}

export const does = {
  query: (asking, around) => asked(made(asking), asking, around),
  get: (asking, around) => asked(made(asking, { useGETForQueries: true }), asking, around),
  async mutate(asking) {
    const { client, requests } = made(asking);
    const { query, variables, idempotencyKey } = asking;
    const context = { headers: { "idempotency-key": idempotencyKey } };
    return { ...told(await client.mutate({ mutation: gql(query), variables, context })), requests };
  },
  defer: watchedQuery,
  stream: watchedQuery,
  subscribe: subscribed,
  subscribeOverWebSocket(asking, around) {
    const connectionParams = asking.headers;
    const socket = createClient({ url: asking.url.replace("http", "ws"), webSocketImpl: WebSocket, connectionParams });
    return subscribed(asking, around, { last: new GraphQLWsLink(socket) });
  },
  /** By a manifest of ids, as `generatePersistedQueryIdsFromManifest` of @apollo/persisted-query-lists reads one. */
  trusted(asking, around) {
    const generateHash = ({ definitions: [{ name }] }) => asking.ids[name.value].replace("sha256:", "");
    return asked(made(asking, { before: [new PersistedQueryLink({ generateHash })] }), asking, around);
  },
  /** The same document twice, past the cache. */
  async persisted(asking, around) {
    const sha256 = (text) => createHash("sha256").update(text).digest("hex");
    const make = made(asking, { before: [new PersistedQueryLink({ sha256, useGETForHashedQueries: true })] });
    await asked(make, asking, around);
    await make.client.clearStore();
    return asked(make, asking, around);
  },
};

export const cannot = {
  onError: "it sends no such member; a `fetch` of your own can add it",
};

export const notes = {
  degraded: "`extensions` of an answer without errors are read in a link; with errors they stand in `error.extensions` too",
  defer: "with `incrementalHandler: new GraphQL17Alpha9Handler()`",
  defer2022: "with `incrementalHandler: new Defer20220824Handler()`",
  stream: "with `incrementalHandler: new GraphQL17Alpha9Handler()`",
  subscription: "as multipart, by the HTTP link",
  trusted: "as the hash of `PersistedQueryLink`, with `generateHash` from the manifest",
};
