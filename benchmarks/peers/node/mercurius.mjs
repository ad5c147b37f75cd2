// Mercurius on Fastify, with its own loaders and just-in-time compiler. node mercurius.mjs PORT SERVICES_URL
import Fastify from 'fastify'
import mercurius from 'mercurius'
import { byKey, get, listing, reviewsOf, typeDefs } from './services.mjs'

const resolvers = {
  Query: {
    product: async (_, { key }) => (await get('/products', 'ids', [key]))[0] ?? null,
    products: (_, { first }) => listing(first),
  },
  Product: { id: (product) => product.key },
  Review: { id: (review) => review.key },
  Author: { id: (author) => author.key },
}

// Mercurius asks once for the parents of a layer, so each loader is told all of them, repeated keys included.
const distinct = async (keys, load) => {
  const unique = [...new Set(keys)]
  const found = await load(unique)
  const at = new Map(unique.map((key, index) => [key, found[index]]))
  return keys.map((key) => at.get(key))
}
const loaders = {
  Product: {
    stock: (queries) => distinct(queries.map(({ obj }) => obj.sku), (skus) => byKey('/stock', 'skus', 'sku', skus)),
    price: (queries) => distinct(queries.map(({ obj }) => obj.sku), (skus) => byKey('/prices', 'skus', 'sku', skus)),
    reviews: (queries) => distinct(queries.map(({ obj }) => obj.key), reviewsOf),
  },
  Review: {
    author: (queries) => distinct(queries.map(({ obj }) => obj.authorKey), (keys) => byKey('/people', 'ids', 'key', keys)),
  },
}

const app = Fastify()
app.register(mercurius, { schema: typeDefs, resolvers, loaders, jit: 1 })
app.get('/livez', async () => '')
await app.listen({ port: Number(process.argv[2]), host: '127.0.0.1' })
