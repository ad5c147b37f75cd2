// graphql-yoga with dataloader and undici. node yoga.mjs PORT SERVICES_URL
import { createServer } from 'node:http'
import DataLoader from 'dataloader'
import { createSchema, createYoga } from 'graphql-yoga'
import { byKey, listing, reviewsOf, typeDefs } from './services.mjs'

const loaders = () => ({
  product: new DataLoader((keys) => byKey('/products', 'ids', 'key', keys)),
  stock: new DataLoader((keys) => byKey('/stock', 'skus', 'sku', keys)),
  price: new DataLoader((keys) => byKey('/prices', 'skus', 'sku', keys)),
  author: new DataLoader((keys) => byKey('/people', 'ids', 'key', keys)),
  reviews: new DataLoader(reviewsOf),
})

const resolvers = {
  Query: {
    product: (_, { key }, context) => context.product.load(key),
    products: (_, { first }) => listing(first),
  },
  Product: {
    id: (product) => product.key,
    stock: (product, _, context) => context.stock.load(product.sku),
    price: (product, _, context) => context.price.load(product.sku),
    reviews: (product, _, context) => context.reviews.load(product.key),
  },
  Review: { id: (review) => review.key, author: (review, _, context) => context.author.load(review.authorKey) },
  Author: { id: (author) => author.key },
}

const yoga = createYoga({ schema: createSchema({ typeDefs, resolvers }), context: loaders, logging: 'error', landingPage: false })
createServer((request, response) => {
  if (request.url === '/livez') response.end()
  else yoga(request, response)
}).listen(Number(process.argv[2]), '127.0.0.1')
