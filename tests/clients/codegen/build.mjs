// Generates types for what is asked, and compiles what uses them: `node build.mjs FOLDER < documents.json`.
//
// `documents.json` is a list of documents as any client sends them. FOLDER holds the schema. Fails, with what tsc says, where
// `src/shop.ts` does not fit the generated types.
import { execFileSync } from "node:child_process";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

const here = import.meta.dirname;
const folder = path.resolve(process.argv[2]);
const bin = (name) => path.join(here, "..", "node_modules", ".bin", name);
const run = (name, ...options) => execFileSync(bin(name), options, { cwd: folder, stdio: ["ignore", 2, 2] });

for (const name of ["src", "codegen.json", "tsconfig.json"]) cpSync(path.join(here, name), path.join(folder, name), { recursive: true });
writeFileSync(path.join(folder, "documents.graphql"), JSON.parse(readFileSync(0, "utf8")).join("\n"));
run("graphql-codegen", "--errors-only", "--config", "codegen.json");
run("tsc", "-p", ".");
