// The services of the workloads, as the peers ask them: undici's pool, JSON read by the client.
import { Pool } from 'undici'

export const pool = new Pool(process.argv[3], { connections: 100 })

export async function get(path, name, keys) {
  const query = new URLSearchParams(keys.map((key) => [name, key]))
  const { statusCode, body } = await pool.request({ method: 'GET', path: `${path}?${query}` })
  if (statusCode >= 400) throw new Error(`${path} answers ${statusCode}`)
  return body.json()
}

export async function byKey(path, name, key, keys) {
  const found = new Map((await get(path, name, keys)).map((row) => [row[key], row]))
  return keys.map((each) => found.get(each) ?? null)
}

export async function reviewsOf(products) {
  const found = new Map(products.map((key) => [key, []]))
  for (const row of await get('/reviews', 'products', products)) found.get(row.product).push(row)
  return products.map((key) => found.get(key))
}

export const listing = async (first) => (await get('/listing', 'limit', [String(first)])).items

export const typeDefs = /* GraphQL */ `
  type Stock { quantity: Int! warehouse: String! }
  type Price { amount: Int! currency: String! }
  type Author { id: ID! name: String! }
  type Review { id: ID! stars: Int! body: String! author: Author }
  type Product {
    id: ID! sku: String! name: String! description: String! category: String! brand: String
    weight: Float! pieces: Int! isNew: Boolean! stock: Stock price: Price reviews: [Review!]!
  }
  type Query { product(key: String!): Product products(first: Int!): [Product!]! }
`
