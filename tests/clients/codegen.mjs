// graphql-codegen's client preset: documents and types are generated (`codegen/build.mjs`), and sent by a plain `fetch`.
import { parse } from "graphql";
import { error as seen, watched } from "./seen.mjs";

const { ask } = await import("./build/codegen/built/shop.js");
const generated = await import("./build/codegen/built/graph/graphql.js");

async function asked({ url, query, variables, headers }, { signal }, options) {
  const { fetch, requests } = watched();
  const { definitions } = parse(query);
  const document = generated[`${definitions[0].name.value}Document`];
  try {
    const { errors, ...answer } = await ask(document, variables, { url, headers, fetch, signal, ...options });
    return { ...answer, ...(errors && { errors: errors.map(seen) }), requests };
  } catch (error) {
    if (!signal.aborted) throw error;
    return { aborted: true };
  }
}

export const does = {
  query: asked,
  mutate: ({ idempotencyKey, ...asking }, around) =>
    asked({ ...asking, headers: { ...asking.headers, "idempotency-key": idempotencyKey } }, around),
  trusted: (asking, around) => asked(asking, around, { byHash: true }),
};

const ELSEWHERE = "it generates documents and types; they are sent by whichever client one has";

export const cannot = {
  invalid: "it refuses to generate from it, so that it is never sent",
  get: ELSEWHERE,
  onError: ELSEWHERE,
  persisted: ELSEWHERE,
  defer: `${ELSEWHERE}. The types of a deferred fragment say that it may be missing`,
  stream: ELSEWHERE,
  subscribe: ELSEWHERE,
  subscribeOverWebSocket: ELSEWHERE,
};

export const notes = {
  query: "by the `fetch` of its guide",
  trusted: "by `persistedDocuments`; its `persisted-documents.json` is the manifest",
};
