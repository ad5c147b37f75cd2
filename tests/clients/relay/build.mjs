// Compiles what is asked through Relay: `node build.mjs FOLDER < documents.json`, from `tests/clients/relay`.
//
// `documents.json` is a list of documents as any client sends them. relay-compiler wants operations and fragments named after their
// module, so they are renamed: `Product` becomes `shopProductQuery`, a fragment `Opinions` `shop_Opinions`. FOLDER holds the schema.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { parse, print, visit } from "graphql";

const SUFFIX = { query: "Query", mutation: "Mutation", subscription: "Subscription" };
const here = import.meta.dirname;
const folder = path.resolve(process.argv[2]);

const renamed = (name, value) => ({ ...name, value });
const fragment = (node) => ({ ...node, name: renamed(node.name, `shop_${node.name.value}`) });

function tagged(text) {
  const document = visit(parse(text), {
    OperationDefinition: (node) => ({ ...node, name: renamed(node.name, `shop${node.name.value}${SUFFIX[node.operation]}`) }),
    FragmentDefinition: fragment,
    FragmentSpread: fragment,
  });
  return document.definitions.map((definition) => `graphql\`\n${print(definition)}\n\`;\n`).join("\n");
}

for (const name of ["src", "relay.config.json", "package.json"]) cpSync(path.join(here, name), path.join(folder, name), { recursive: true });
mkdirSync(path.join(folder, "artifacts"), { recursive: true });
writeFileSync(path.join(folder, "persisted.json"), "{}");
writeFileSync(path.join(folder, "src", "shop.js"), JSON.parse(readFileSync(0, "utf8")).map(tagged).join("\n"));
execFileSync(createRequire(import.meta.url)("relay-compiler"), ["relay.config.json"], { cwd: folder, stdio: ["ignore", 2, 2] });
