/**
 * Who the page's operations are from: `/graphiql#token=demo-customer` fills the headers editor.
 *
 * What stands after `#` is sent to no server, so it is in no log and no Referer; the address bar and the history lose it at once.
 */
const TOKEN = /^#token=([A-Za-z0-9._~+/-]+=*)$/; // as RFC 6750 writes a bearer token

/** What the headers editor holds for the token in the address, which is taken out of it; undefined without one. */
export function headersOfAddress(): string | undefined {
  const token = tokenOfAddress();
  if (token === undefined) return undefined;
  window.history.replaceState(null, '', window.location.pathname + window.location.search);
  return JSON.stringify({ Authorization: `Bearer ${token}` }, null, 2);
}

/** A link that is followed while the page is open changes what stands after `#` and loads nothing: then it is loaded anew. */
export function followLinks(): void {
  window.addEventListener('hashchange', () => {
    if (tokenOfAddress() !== undefined) window.location.reload();
  });
}

function tokenOfAddress(): string | undefined {
  return TOKEN.exec(window.location.hash)?.[1];
}
