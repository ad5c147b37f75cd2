/**
 * What can go wrong, as classes: one for each code of the gateway's taxonomy, and those that only a client can meet.
 *
 * Invariants: every code that a gateway tells has a class here (a test compares them), and a code of a newer gateway is a plain
 * `GraphError`; whether something may be tried again is what the answer says, never what a class is called.
 */

/** Root of all. */
export class SagaQLError extends Error {
  retryable = false;
  /** Seconds that the gateway asked to be left alone for. */
  retryAfter = 0;
  /** Of the mutation that it ended, if it was one; the same call with it can never do anything twice. */
  key: string | undefined;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

// -- no answer

/** Nothing came, or nothing that is GraphQL: refused, dropped, out of time; `status` if something else answered. */
export class NoAnswer extends SagaQLError {
  constructor(
    message: string,
    { status, retryable = true, cause }: { status?: number; retryable?: boolean; cause?: unknown } = {},
  ) {
    super(message, { cause });
    this.status = status;
    this.retryable = retryable;
  }

  readonly status: number | undefined;
}

/**
 * The deadline passed before a saga's end was known; whatever was begun goes on. `cause` is the last failure.
 *
 * The same call with `key: error.key` finds out what became of it. `sagaId`: undefined if not even the beginning was confirmed.
 */
export class NotSettled extends SagaQLError {
  override retryable = true;
  override key: string;

  constructor(
    key: string,
    readonly sagaId: string | undefined,
    cause: unknown,
  ) {
    const begun = sagaId ? `the saga ${sagaId} goes on` : 'whether it was begun is not known';
    super(`the deadline passed and ${begun}: call again with the key '${key}'`, { cause });
    this.key = key;
  }
}

// -- how a saga ended

export interface About {
  readonly sagaId: string;
  readonly status: string;
}

/** A mutation that was taken, and did not do what was asked. */
export class SagaEnded extends SagaQLError implements About {
  readonly sagaId: string;
  readonly status: string;

  constructor(message: string, about: About) {
    super(message);
    this.sagaId = about.sagaId;
    this.status = about.status;
  }
}

/** The business said no, as `code`; nothing of it remains. */
export class Rejected extends SagaEnded {
  constructor(
    message: string,
    about: About,
    readonly code: string,
  ) {
    super(message, about);
  }
}

/** It did not work, and what had been done is undone: the steps `undone`. */
export class Failed extends SagaEnded {
  constructor(
    message: string,
    about: About,
    readonly code: string,
    readonly undone: readonly string[],
  ) {
    super(message, about);
  }
}

/** It waits for a person; nothing is lost. The same call with the same key tells later what became of it. */
export class NeedsAttention extends SagaEnded {
  constructor(
    message: string,
    about: About,
    readonly code: string,
  ) {
    super(message, about);
  }
}

/** The key was used before with another input; nothing was begun. A new intent needs a new key. */
export class Conflict extends SagaEnded {}

// -- errors[].extensions.code

/** An entry of `errors`, as it is sent. */
export interface ErrorEntry {
  readonly message?: string;
  readonly path?: readonly (string | number)[];
  readonly extensions?: Readonly<Record<string, unknown>>;
}

export interface Violation {
  readonly path: readonly (string | number)[];
  readonly message: string;
  readonly rule: string;
}

/** One entry of `errors`. A code that this version does not know is of this very class. */
export class GraphError extends SagaQLError {
  readonly code: string;
  readonly path: readonly (string | number)[];
  readonly extensions: Readonly<Record<string, unknown>>;
  /** Which service failed, where one did. */
  readonly service: string | undefined;

  constructor(entry: ErrorEntry) {
    super(entry.message ?? '');
    this.extensions = entry.extensions ?? {};
    this.code = String(this.extensions['code'] ?? '');
    this.path = entry.path ?? [];
    this.retryable = this.extensions['retryable'] === true;
    const later = this.extensions['retryAfter'];
    if (typeof later === 'number') this.retryAfter = later;
    this.service = this.extensions['service'] as string | undefined;
  }
}

/** The request itself must be changed. */
export class BadRequest extends GraphError {}
export class PayloadTooLarge extends BadRequest {}
export class ParseFailed extends BadRequest {}
/** The operation does not fit the gateway's schema: this client was generated from another one. */
export class ValidationFailed extends BadRequest {}
/** Values break rules; `violations` lists all of them. */
export class BadUserInput extends BadRequest {
  get violations(): readonly Violation[] {
    return (this.extensions['violations'] as Violation[] | undefined) ?? [];
  }
}
export class PersistedDocumentNotFound extends BadRequest {}
export class PersistedQueryNotFound extends BadRequest {}
export class PersistedQueryNotSupported extends BadRequest {}
export class DocumentNotTrusted extends BadRequest {}
export class OperationTooExpensive extends BadRequest {}
export class Unauthenticated extends BadRequest {}
export class Forbidden extends BadRequest {}
export class Overloaded extends GraphError {}
export class Draining extends GraphError {}
/** The gateway cannot verify the token now; it may be good. */
export class AuthenticationUnavailable extends GraphError {}
/** A limit of this client's, and not of the gateway; `retryAfter` says when to come back. */
export class LimitReached extends GraphError {}
export class RateLimited extends LimitReached {}
export class TooManyOperations extends LimitReached {}
export class TooManySubscriptions extends LimitReached {}
/** The gateway cannot find out now what this client has taken. */
export class RateLimitUnavailable extends GraphError {}
/** The gateway ran out of the time that it was given. */
export class DeadlineExceeded extends GraphError {}
/** A service did not give what was asked of it; `service` names it. */
export class ServiceFailed extends GraphError {}
export class ServiceUnavailable extends ServiceFailed {}
export class ServiceTimeout extends ServiceFailed {}
export class ServiceRefused extends ServiceFailed {}
export class ServiceContractBroken extends ServiceFailed {}
export class ServiceBreakerOpen extends ServiceFailed {}
export class ServiceBulkheadFull extends ServiceFailed {}
/** Services disagree; `services` names them. */
export class SourcesUndecided extends ServiceFailed {
  get services(): readonly string[] {
    return (this.extensions['services'] as string[] | undefined) ?? [];
  }
}
/** The journal cannot be written, so nothing was begun. */
export class SagasUnavailable extends GraphError {}
export class SagaNotFound extends GraphError {}
/** A bug of the gateway's; its operators find it by `traceId`. */
export class InternalError extends GraphError {
  get traceId(): string | undefined {
    return this.extensions['traceId'] as string | undefined;
  }
}

export const BY_CODE = {
  BAD_REQUEST: BadRequest,
  PAYLOAD_TOO_LARGE: PayloadTooLarge,
  GRAPHQL_PARSE_FAILED: ParseFailed,
  GRAPHQL_VALIDATION_FAILED: ValidationFailed,
  BAD_USER_INPUT: BadUserInput,
  PERSISTED_DOCUMENT_NOT_FOUND: PersistedDocumentNotFound,
  PERSISTED_QUERY_NOT_FOUND: PersistedQueryNotFound,
  PERSISTED_QUERY_NOT_SUPPORTED: PersistedQueryNotSupported,
  DOCUMENT_NOT_TRUSTED: DocumentNotTrusted,
  OPERATION_TOO_EXPENSIVE: OperationTooExpensive,
  UNAUTHENTICATED: Unauthenticated,
  FORBIDDEN: Forbidden,
  OVERLOADED: Overloaded,
  DRAINING: Draining,
  AUTHENTICATION_UNAVAILABLE: AuthenticationUnavailable,
  RATE_LIMITED: RateLimited,
  TOO_MANY_OPERATIONS: TooManyOperations,
  TOO_MANY_SUBSCRIPTIONS: TooManySubscriptions,
  RATE_LIMIT_UNAVAILABLE: RateLimitUnavailable,
  DEADLINE_EXCEEDED: DeadlineExceeded,
  SERVICE_UNAVAILABLE: ServiceUnavailable,
  SERVICE_TIMEOUT: ServiceTimeout,
  SERVICE_REFUSED: ServiceRefused,
  SERVICE_CONTRACT_BROKEN: ServiceContractBroken,
  SERVICE_BREAKER_OPEN: ServiceBreakerOpen,
  SERVICE_BULKHEAD_FULL: ServiceBulkheadFull,
  SERVICE_SOURCES_UNDECIDED: SourcesUndecided,
  SAGAS_UNAVAILABLE: SagasUnavailable,
  SAGA_NOT_FOUND: SagaNotFound,
  INTERNAL_SERVER_ERROR: InternalError,
} as const;

/** The entry as the class of its code. */
export function graphError(entry: ErrorEntry): GraphError {
  const known = new Map<unknown, new (entry: ErrorEntry) => GraphError>(Object.entries(BY_CODE));
  return new (known.get(entry.extensions?.['code']) ?? GraphError)(entry);
}
