// What a client's user sees, as plain values; and what the client sent, seen by the `fetch` that all clients let one hand in.

/** A GraphQL error as far as a test looks at it. */
export const error = ({ message, path, extensions }) => ({ message, path, code: extensions?.code });

/** An answer as it came: what is not there stays away. */
export const result = ({ data, errors, extensions, ...others }) => ({
  data,
  ...(errors && { errors: errors.map(error) }),
  ...(extensions && { extensions }),
  ...others,
});

/** A `fetch`, and the list of what went through it. */
export function watched() {
  const requests = [];
  const fetch = async (url, options = {}) => {
    const isGet = (options.method ?? "GET") === "GET";
    const members = isGet ? [...new URL(url).searchParams.keys()] : Object.keys(JSON.parse(options.body));
    const request = { method: options.method ?? "GET", members };
    requests.push(request);
    const response = await globalThis.fetch(url, options);
    Object.assign(request, { status: response.status, type: response.headers.get("content-type") });
    return response;
  };
  return { fetch, requests };
}

/** Resolves when the user loses interest. */
export const aborted = (signal) =>
  new Promise((resolve) => (signal.aborted ? resolve() : signal.addEventListener("abort", () => resolve(), { once: true })));
