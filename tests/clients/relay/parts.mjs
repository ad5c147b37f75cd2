// The parts of one answer, as relay-runtime takes them: flat, each with the path and the label of its fragment or list item, and
// with errors whose paths begin there. A class for each dialect of the gateway.
//
// Invariant: what `taken` returns goes to the store in one publication; the last of it says that it is the last.

/** `incrementalSpec=v0.2`: what is pending has an id, no field comes twice, and a fragment may come in pieces, one for each place
 * that it goes deeper into. relay-runtime looks a fragment up by the path where it was spread, and asks for all of it: so the pieces
 * are put together here, and a fragment is handed on when it is complete. */
export class PartsOfToday {
  #whole;
  #pending = new Map();

  taken(part) {
    const told = "data" in part ? [this.#first(part)] : [];
    for (const each of part.pending ?? []) this.#pending.set(each.id, { ...each, errors: [] });
    for (const each of part.incremental ?? []) told.push(...this.#piece(each));
    for (const each of part.completed ?? []) told.push(...this.#completed(each));
    return ending(told, part);
  }

  #first({ data, errors, extensions }) {
    this.#whole = data;
    return { data, errors, extensions };
  }

  #piece({ id, subPath = [], data, items, errors = [], extensions }) {
    const pending = this.#pending.get(id);
    const place = at(this.#whole, [...pending.path, ...subPath]);
    if (items) return items.map((item) => flat(item, [...pending.path, place.push(item) - 1], { ...pending, errors, extensions }));
    merge(place, data);
    pending.errors.push(...errors);
    pending.extensions = { ...pending.extensions, ...extensions };
    return [];
  }

  #completed({ id, errors }) {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (errors) return [flat(null, pending.path, { ...pending, errors })];
    const data = at(this.#whole, pending.path);
    return Array.isArray(data) ? [] : [flat(data, pending.path, pending)]; // of a list, each item was told
  }
}

/** `deferSpec=20220824`: nearly what relay-runtime wants. A fragment that goes deeper into what is selected beside it comes at the
 * deeper path, where relay-runtime does not look for it. */
export class PartsOf2022 {
  taken(part) {
    const { data, errors, extensions } = part;
    const told = "data" in part ? [{ data, errors, extensions }] : [];
    for (const { items, path, ...each } of part.incremental ?? []) {
      const [last] = path.slice(-1);
      if (items) told.push(...items.map((item, index) => flat(item, [...path.slice(0, -1), last + index], each)));
      else told.push(flat(each.data, path, each));
    }
    return ending(told, part);
  }
}

function flat(data, path, { label, errors = [], extensions }) {
  const below = errors.filter((each) => path.every((key, depth) => each.path?.[depth] === key));
  const moved = below.map((each) => ({ ...each, path: each.path.slice(path.length) }));
  return { data, path, label, errors: moved.length > 0 ? moved : undefined, extensions };
}

function ending(told, { hasNext }) {
  const last = told.at(-1);
  if (last && !hasNext) last.extensions = { ...last.extensions, is_final: true };
  return told;
}

function at(value, path) {
  return path.reduce((found, key) => found[key], value);
}

function merge(into, found) {
  for (const [key, value] of Object.entries(found)) {
    if (isObject(into[key]) && isObject(value)) merge(into[key], value);
    else into[key] = value;
  }
}

function isObject(value) {
  return typeof value === "object" && value !== null;
}
