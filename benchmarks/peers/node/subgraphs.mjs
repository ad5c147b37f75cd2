// The services of the workloads as federation's subgraphs, each under its own path: the same data, from memory.
// node subgraphs.mjs PORT. `GET /count` tells how many requests there were, itself left out. An answer is made once and kept,
// as those of the stand-in services are (benchmarks/execution/graph.py), whose values these are.
import { createServer } from 'node:http'
import { buildSubgraphSchema } from '@apollo/subgraph'
import { graphql, parse } from 'graphql'

const product = (id) => ({
  id,
  sku: `sku-${id}`,
  name: `Product ${id}`,
  description: 'Good for what it is made for, and for little else.',
  category: 'tea',
  brand: id.endsWith('3') ? null : 'Acme',
  weight: 1.25,
  pieces: 12,
  isNew: id.endsWith('1'),
})
const review = (productId, number) => ({
  id: `${productId}-${number}`,
  stars: 4,
  body: 'As described, came in time.',
  author: { id: String((Number(productId) * 7 + number) % 100) },
})
const numbers = (count) => [...Array(count).keys()]

const link = 'extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"])'
const subgraph = (typeDefs, resolvers) => buildSubgraphSchema({ typeDefs: parse(link + typeDefs), resolvers })
const subgraphs = {
  catalog: subgraph(
    /* GraphQL */ `
      type Product @key(fields: "id") @key(fields: "sku") {
        id: ID! sku: String! name: String! description: String! category: String! brand: String
        weight: Float! pieces: Int! isNew: Boolean!
      }
      type Query { product(key: String!): Product products(first: Int!): [Product!]! }
    `,
    {
      Query: {
        product: (_, { key }) => product(key),
        products: (_, { first }) => numbers(first).map((number) => product(String(number))),
      },
      Product: { __resolveReference: ({ id, sku }) => product(id ?? sku.slice('sku-'.length)) },
    },
  ),
  inventory: subgraph(
    /* GraphQL */ `
      type Product @key(fields: "sku") { sku: String! stock: Stock }
      type Stock { quantity: Int! warehouse: String! }
    `,
    { Product: { stock: ({ sku }) => ({ quantity: sku.length, warehouse: 'north' }) } },
  ),
  prices: subgraph(
    /* GraphQL */ `
      type Product @key(fields: "sku") { sku: String! price: Price }
      type Price { amount: Int! currency: String! }
    `,
    { Product: { price: () => ({ amount: 1299, currency: 'EUR' }) } },
  ),
  reviews: subgraph(
    /* GraphQL */ `
      type Product @key(fields: "id") { id: ID! reviews: [Review!]! }
      type Review { id: ID! stars: Int! body: String! author: Author }
      type Author @key(fields: "id", resolvable: false) { id: ID! }
    `,
    { Product: { reviews: ({ id }) => numbers(5).map((number) => review(id, number)) } },
  ),
  people: subgraph(
    /* GraphQL */ `
      type Author @key(fields: "id") { id: ID! name: String! }
    `,
    { Author: { name: ({ id }) => `Author ${id}` } },
  ),
}

const made = new Map()
async function answer(path, body) {
  const asked = `${path} ${body}`
  if (!made.has(asked)) {
    const { query, variables } = JSON.parse(body)
    const told = await graphql({ schema: subgraphs[path.slice(1)], source: query, variableValues: variables })
    made.set(asked, Buffer.from(JSON.stringify(told)))
  }
  return made.get(asked)
}

async function textOf(request) {
  let text = ''
  for await (const part of request.setEncoding('utf8')) text += part
  return text
}

let seen = 0
const server = createServer(async (request, response) => {
  if (request.url === '/count') return response.end(String(seen))
  seen += 1
  const body = await answer(request.url, await textOf(request))
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length }).end(body)
})
server.keepAliveTimeout = 600_000 // as long as the other stand-ins keep an idle connection (benchmarks/standing_in.py)
server.listen(Number(process.argv[2]), '127.0.0.1')
