// Audits of GraphQL over HTTP, against the gateway at the given address: `node audit.mjs http://127.0.0.1:8000/graphql`.
// Prints one JSON list: [{ id, name, status, reason }], status "ok", "warn", "notice" or "error".
import { auditServer } from "graphql-http";

const found = await auditServer({ url: process.argv[2] });
console.log(JSON.stringify(found.map(({ id, name, status, reason }) => ({ id, name, status, reason }))));
