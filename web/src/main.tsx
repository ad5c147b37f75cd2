/**
 * The page of an IDE for one graph: GraphiQL 5, everything from our own origin.
 *
 * The workers must be set up before anything loads Monaco, so that import stays first.
 */
import 'graphiql/setup-workers/vite';
import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { GraphiQL } from 'graphiql';
import { createRoot } from 'react-dom/client';
import 'graphiql/style.css';
import { followLinks, headersOfAddress } from './caller';
import './style.css';

const DEFAULT_QUERY = `# SagaQL: one graph over many services.
#
#   Run        Ctrl-Enter (Cmd-Enter)
#   Complete   Ctrl-Space, or just type
#   Docs       the book on the left, or Ctrl-click
#   Sign in    in Headers, below:
#              {"Authorization": "Bearer demo-customer"}
#              or open this page as /graphiql#token=demo-customer
#
# If a service is slow or down, the rest still arrives:
# \`extensions.degraded\` says what is missing and why.

query Products {
  products(first: 3) {
    edges {
      node {
        id
        name
        price {
          amount
          currency
        }
        stock {
          quantity
          warehouse
        }
        reviews(first: 2) {
          rating
          body
          author {
            name
          }
        }
      }
    }
  }
}
`;

/** The address that the server wrote into the page; operations never leave our origin. */
function endpoint(): URL {
  const path = document.querySelector<HTMLMetaElement>('meta[name="sagaql-endpoint"]')?.content ?? '/graphql';
  return new URL(path, window.location.origin);
}

/** The same address for subscriptions, which go over WebSocket; the headers editor becomes the connection's parameters. */
function subscriptionEndpoint(http: URL): URL {
  const socket = new URL(http);
  socket.protocol = http.protocol === 'https:' ? 'wss:' : 'ws:';
  return socket;
}

const place = document.getElementById('graphiql');
if (place === null) throw new Error('the page has no place for GraphiQL: expected an element with the id "graphiql"');

const url = endpoint();
const fetcher = createGraphiQLFetcher({ url: url.href, subscriptionUrl: subscriptionEndpoint(url).href });

// Under somebody else's name a tab of its own is begun: the one that is there stays its owner's.
const headers = headersOfAddress();
const begun = headers === undefined ? {} : { initialHeaders: headers, initialQuery: DEFAULT_QUERY };
followLinks();

createRoot(place).render(
  <GraphiQL
    fetcher={fetcher}
    defaultQuery={DEFAULT_QUERY}
    inputValueDeprecation
    schemaDescription
    shouldPersistHeaders
    {...begun}
  >
    <GraphiQL.Logo>
      <span className="sagaql-logo">
        Saga<em>QL</em>
      </span>
    </GraphiQL.Logo>
  </GraphiQL>,
);
