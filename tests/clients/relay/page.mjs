// A page on Relay's store: operations are executed, and what its components would show is read with `environment.lookup`.
import { createRequire } from "node:module";
import relay from "relay-runtime";
import { networkOf } from "./network.mjs";

export class Page {
  /** Errors and extensions of all that came, as the environment's `log` tells them: the store keeps no extensions. */
  told = { errors: [], extensions: {} };
  #artifact;
  #close;

  /** `artifacts`: the folder that the compiler has written. */
  constructor(url, artifacts, options = {}) {
    const require = createRequire(`${artifacts}/`);
    this.#artifact = (name) => require(`./${name}.graphql.js`);
    const { network, close } = networkOf(url, options);
    this.#close = close;
    this.environment = new relay.Environment({
      network,
      store: new relay.Store(new relay.RecordSource()),
      log: (event) => event.name === "network.next" && [event.response].flat().forEach((each) => this.#heard(each)),
    });
  }

  close() {
    this.#close();
  }

  /** What a component reads that has the operation's data. Raises: what Relay throws at it. */
  shown(name, variables = {}) {
    const operation = relay.createOperationDescriptor(this.#artifact(name), variables);
    return this.environment.lookup(operation.fragment).data;
  }

  /** What a component reads that was handed `reference`; null: its data is not there yet. */
  fragment(name, reference) {
    const selector = relay.getSingularSelector(this.#artifact(name), reference);
    const { data, isMissingData } = this.environment.lookup(selector);
    return isMissingData ? null : data;
  }

  /** What a tree of components shows together: fragments that are there beside what was asked with them. */
  seen(data) {
    if (Array.isArray(data)) return data.map((each) => this.seen(each));
    if (typeof data !== "object" || data === null) return data;
    const { __fragments = {}, __id, __fragmentOwner, ...own } = data;
    const fragments = Object.keys(__fragments).map((name) => this.fragment(name, data));
    return Object.assign({}, ...[own, ...fragments].map((each) => this.#inside(each)));
  }

  fetching(name, variables = {}) {
    return relay.fetchQuery(this.environment, this.#artifact(name), variables, { fetchPolicy: "network-only" });
  }

  /** To its end. Raises: what an observer is told. */
  async fetched(name, variables) {
    await this.fetching(name, variables).toPromise();
    return this.shown(name, variables);
  }

  mutated(name, variables) {
    const mutation = this.#artifact(name);
    return new Promise((onCompleted, onError) =>
      relay.commitMutation(this.environment, { mutation, variables, onCompleted, onError }),
    );
  }

  subscribed(name, variables, observer) {
    return relay.requestSubscription(this.environment, { subscription: this.#artifact(name), variables, ...observer });
  }

  #inside(shown) {
    return Object.fromEntries(Object.entries(shown ?? {}).map(([key, value]) => [key, this.seen(value)]));
  }

  #heard({ errors = [], extensions }) {
    const { degraded = [], is_final, ...others } = extensions ?? {};
    const all = [...(this.told.extensions.degraded ?? []), ...degraded];
    this.told.errors.push(...errors);
    Object.assign(this.told.extensions, others, all.length > 0 && { degraded: all });
  }
}
