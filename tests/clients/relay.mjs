// Relay: its compiler has read the documents (`relay/build.mjs`), its runtime executes them on a store.
import path from "node:path";
import { parse } from "graphql";
import { Page } from "./relay/page.mjs";
import { error as seen, watched } from "./seen.mjs";

const ARTIFACTS = path.join(import.meta.dirname, "build", "relay", "artifacts");

/** What the compiler calls an operation of one of the documents. */
function compiled(query) {
  const { name, operation } = parse(query).definitions.find(({ kind }) => kind === "OperationDefinition");
  return `shop${name.value}${operation[0].toUpperCase()}${operation.slice(1)}`;
}

function opened({ url, headers, dialect, onError }, options = {}) {
  const { fetch, requests } = watched();
  const page = new Page(url, ARTIFACTS, { fetch, headers, dialect, members: onError ? { onError } : {}, ...options });
  return { page, requests };
}

const errorsOf = ({ told }) => (told.errors.length > 0 ? { errors: told.errors.map(seen) } : {});

/** Of an operation without data Relay throws an error, in which the graph's errors stand; graphql-ws throws these themselves. */
const refusal = (error) => (Array.isArray(error) ? error : error?.source?.errors);

function failure(error) {
  const errors = refusal(error);
  return errors ? { data: null, errors: errors.map(seen) } : { data: null, failed: error.message };
}

/** All states of a query until it is whole. */
function states(asking, { signal, tell }, options) {
  const { page, requests } = opened(asking, options);
  const name = compiled(asking.query);
  const parts = [];
  const heard = (errors) => {
    parts.push({ data: page.seen(page.shown(name, asking.variables)), ...errors });
    tell(parts.at(-1));
  };
  return new Promise((resolve) => {
    const end = (others) => (page.close(), resolve({ parts, requests, extensions: page.told.extensions, ...others }));
    const fetching = page.fetching(name, asking.variables).subscribe({
      next: () => heard(errorsOf(page)),
      complete: () => end({}),
      error: (error) => (parts.length > 0 && heard({ errors: refusal(error).map(seen) }), end(failure(error))),
    });
    signal.addEventListener("abort", () => (fetching.unsubscribe(), end({ aborted: true })));
  });
}

async function query(asking, around, options) {
  const { parts, ...others } = await states(asking, { ...around, tell: () => {} }, options);
  return { ...parts.at(-1), ...others };
}

async function mutate(asking) {
  const { page, requests } = opened({ ...asking, headers: { ...asking.headers, "idempotency-key": asking.idempotencyKey } });
  const data = await page.mutated(compiled(asking.query), asking.variables);
  page.close();
  return { data: page.seen(data), ...errorsOf(page), requests };
}

function subscribe(asking, { signal, tell }) {
  const { page } = opened(asking);
  const parts = [];
  return new Promise((resolve) => {
    const heard = (part) => (parts.push(part), tell(part));
    const end = (ended) => (page.close(), resolve({ parts, ended }));
    const following = page.subscribed(compiled(asking.query), asking.variables, {
      onNext(data) {
        heard({ data: page.seen(data) });
        if (parts.length === asking.take) following.dispose(), end("left");
      },
      onError: (error) => (refusal(error) && heard(failure(error)), end("error")),
      onCompleted: () => end("complete"),
    });
    signal.addEventListener("abort", () => (following.dispose(), end("aborted")));
  });
}

// -- what only Relay does ----------------------------------------------------------------------------------------------

/** Two pages of the connection; then the first product by its id, and what a component shows that was there before. */
async function shelf({ url }) {
  const { page, requests } = opened({ url });
  const first = page.fragment("shelf_page", await page.fetched("shelfQuery")).products;
  await page.fetched("shelfPageQuery", { count: 2, cursor: first.pageInfo.endCursor });
  const both = page.fragment("shelf_page", page.shown("shelfQuery")).products;
  const { node } = both.edges[0];
  const stock = page.fragment("shelf_stock", node);
  const again = await page.fetched("shelfStockQuery", { id: node.__id });
  page.close();
  const names = ({ edges }) => edges.map((edge) => edge.node.name);
  return { first: names(first), both: names(both), stock, again: page.fragment("shelf_stock", again.node), requests };
}

/** A field that fails, as a component reads it that says nothing of errors, throws at them, or catches them. */
async function failing({ url, id }) {
  const { page } = opened({ url });
  const read = async (name) => {
    try {
      return { data: await page.fetched(name, { id }) };
    } catch ({ message }) {
      return { thrown: message };
    }
  };
  const read3 = [await read("customerQuery"), await read("customerThrowingQuery"), await read("customerCatchingQuery")];
  page.close();
  return { silent: read3[0], throwing: read3[1], catching: read3[2] };
}

/** What is shown of a product before and after its deferred fragment, which goes deeper into what is shown already. */
async function deeper({ url, id, dialect }) {
  const { page } = opened({ url, dialect });
  const shown = [];
  await new Promise((resolve, reject) =>
    page.fetching("productQuery", { id }).subscribe({
      next: ({ product }) => shown.push({ own: page.seen({ ...product, __fragments: {} }), more: page.fragment("product_more", product) }),
      complete: resolve,
      error: reject,
    }),
  );
  page.close();
  return { shown };
}

export const does = {
  query,
  mutate,
  subscribe,
  subscribeOverWebSocket: subscribe,
  defer: states,
  stream: states,
  onError: query,
  trusted: (asking, around) => query(asking, around, { byId: true }),
  shelf,
  failing,
  deeper,
};

export const cannot = {
  get: "its network layer is a function of one's own; ours posts, as Relay's guide does",
  invalid: "relay-compiler refuses it, so that it is never sent",
  persisted: "its documents are persisted when they are compiled",
};

export const notes = {
  query: "the network layer is `tests/clients/relay/network.mjs`",
  partial: "the store keeps a field's error for `@catch` and `@throwOnFieldError`; `extensions` are read by the environment's `log`",
  degraded: "read by the environment's `log`",
  defer: "with meros; the parts are put together by `tests/clients/relay/parts.mjs`",
  defer_refused: "the query fails; what was shown before its failure stays in the store",
  defer_refused2022: "the query fails; what was shown before its failure stays in the store",
  defer2022: "unless the fragment goes deeper into what is selected beside it",
  stream: "as for `@defer`",
  subscription: "with graphql-ws",
  resumed: "with `retryAttempts: 0`: by itself it would begin again where it began",
  trusted: "by `persistConfig`; the compiler's file is the manifest",
};
