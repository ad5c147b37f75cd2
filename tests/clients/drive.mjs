// Drives one client: `node drive.mjs apollo`. Reads one JSON object a line, answers in lines; questions may overlap.
//
//   in:  {"id": 1, "do": "query", "with": {...}}    what the client's module calls `query`
//        {"id": 2, "do": "abort", "with": {"id": 1}} the user of the client has lost interest in 1
//   out: {"id": 0, "does": [...], "cannot": {...}, "notes": {...}}   once, at the start
//        {"id": 1, "part": {...}}                   seen meanwhile
//        {"id": 1, "answer": {...}} or {"id": 1, "broken": "..."}    the end of 1
//
// A module exports `does` (functions by verb: `async (asked, { signal, tell }) => answer`), `cannot` (a reason by verb or by
// feature), and `notes` (what a user must know of something that works). What stands in none of them is a mistake.
import { createInterface } from "node:readline";

for (const name of ["log", "info", "debug", "warn"]) console[name] = console.error; // the lines are for answers

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const { does, cannot = {}, notes = {} } = await import(`./${process.argv[2]}.mjs`);
const underWay = new Map();

async function answer({ id, do: verb, with: asked }) {
  const leaving = new AbortController();
  underWay.set(id, leaving);
  try {
    say({ id, answer: await does[verb](asked, { signal: leaving.signal, tell: (part) => say({ id, part }) }) });
  } catch (error) {
    say({ id, broken: error?.stack ?? JSON.stringify(error) ?? String(error) });
  } finally {
    underWay.delete(id);
  }
}

say({ id: 0, does: Object.keys(does), cannot, notes });
for await (const line of createInterface({ input: process.stdin })) {
  const question = JSON.parse(line);
  if (question.do === "abort") underWay.get(question.with.id)?.abort();
  else void answer(question);
}
process.exit(0);
