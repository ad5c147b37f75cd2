// Apollo Gateway in Apollo Server on Fastify; the supergraph is composed at the start. node apollo.mjs PORT SUBGRAPHS_URL
// Calls go through the other peers' pool, as `fetcher` allows: with the data source's own client A and D cost more than twice.
import { ApolloGateway, IntrospectAndCompose, RemoteGraphQLDataSource } from '@apollo/gateway'
import { ApolloServer } from '@apollo/server'
import { fastifyApolloHandler } from '@as-integrations/fastify'
import Fastify from 'fastify'
import { pool } from './services.mjs'

process.env.APOLLO_TELEMETRY_DISABLED = 'true' // a benchmark sends nothing out

const names = ['catalog', 'inventory', 'prices', 'reviews', 'people']
const subgraphs = names.map((name) => ({ name, url: `${process.argv[3]}/${name}` }))

// Of an answer: what the data source reads.
async function fetcher(url, { method, headers, body }) {
  const answer = await pool.request({ method, path: new URL(url).pathname, headers, body })
  if (answer.statusCode >= 400) throw new Error(`${url} answers ${answer.statusCode}`)
  const get = (name) => answer.headers[name.toLowerCase()] ?? null
  return { ok: true, headers: { get }, json: () => answer.body.json() }
}

const gateway = new ApolloGateway({
  supergraphSdl: new IntrospectAndCompose({ subgraphs }),
  buildService: ({ url }) => new RemoteGraphQLDataSource({ url, fetcher }),
})
const server = new ApolloServer({ gateway })
await server.start()

const app = Fastify()
app.post('/graphql', fastifyApolloHandler(server))
app.get('/livez', async () => '')
await app.listen({ port: Number(process.argv[2]), host: '127.0.0.1' })
