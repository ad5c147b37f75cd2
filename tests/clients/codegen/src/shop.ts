// A frontend's calls, typed by what graphql-codegen has generated; documents go by their texts, or by their hashes in the manifest.
import * as graph from "./graph/graphql.js";

export interface Answer<Data> {
  data?: Data | null;
  errors?: { message: string; path?: (string | number)[]; extensions: { code: string } }[];
  extensions?: { degraded?: unknown[] };
}

export interface Asking {
  url: string;
  headers?: Record<string, string>;
  fetch: typeof fetch;
  signal?: AbortSignal;
  byHash?: boolean;
}

/** As the generator's guide has it. */
export async function ask<Data, Variables>(
  document: graph.TypedDocumentString<Data, Variables>,
  variables: Variables,
  { url, headers, fetch, byHash = false, signal }: Asking,
): Promise<Answer<Data>> {
  const named = byHash ? { documentId: hashOf(document) } : { query: document.toString() };
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/graphql-response+json", ...headers },
    body: JSON.stringify({ ...named, variables }),
    signal: signal ?? null,
  });
  return response.json() as Promise<Answer<Data>>;
}

function hashOf({ __meta__ }: { __meta__?: Record<string, unknown> | undefined }): string {
  const hash = __meta__?.["hash"];
  if (typeof hash !== "string") throw new Error("the document was generated without its hash");
  return hash;
}

// What stands below is never called: that it compiles says that the types are those of the graph.

export async function promised(asking: Asking): Promise<void> {
  const { data } = await ask(graph.OpinionsDocument, { id: "id" }, asking);
  const name: string | undefined = data?.product?.name;
  const author: string | null | undefined = data?.product?.reviews[0]?.author?.name;
  // @ts-expect-error a join may degrade to null
  const certain: string | undefined = data?.product?.reviews[0]?.author.name;
  // @ts-expect-error the variable is missing
  await ask(graph.OpinionsDocument, {}, asking);
  // @ts-expect-error the input has no such member
  await ask(graph.PlaceOrderDocument, { input: { customer: "id" }, key: "key" }, asking);
  await bought(asking);
  void [name, author, certain];
}

/** Every member of the union is told apart. */
async function bought(asking: Asking): Promise<string> {
  const address = { name: "name", street: "street", city: "city", postalCode: "1234", country: "GB" };
  const input = { customerId: "id", lines: [{ sku: "sku", quantity: 1 }], paymentToken: "token", address };
  const { data } = await ask(graph.PlaceOrderDocument, { input, key: "key" }, asking);
  const payload = data?.placeOrder;
  switch (payload?.__typename) {
    case "PlaceOrderCompleted":
      return payload.order.status satisfies graph.OrderStatus;
    case "SagaRejected":
      return payload.message;
    case "SagaFailed":
      return payload.undone.join();
    default:
      return payload?.status ?? "unanswered";
  }
}
