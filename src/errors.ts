/**
 * Every way an attempt to open a guest session, to end one, to erase a guest, or to send a webhook again can fail. Public: front ends switch on these codes.
 */
export const ErrorCode = {
  INVALID_INPUT: 'INVALID_INPUT',
  FRAUD_BLOCKED: 'FRAUD_BLOCKED',
  CAPACITY_EXCEEDED: 'CAPACITY_EXCEEDED',
  RATE_LIMITED: 'RATE_LIMITED',
  CXONE_AUTH_FAILED: 'CXONE_AUTH_FAILED',
  CXONE_SCOPE_MISSING: 'CXONE_SCOPE_MISSING',
  CXONE_SCHEMA_REJECTED: 'CXONE_SCHEMA_REJECTED',
  CXONE_REJECTED: 'CXONE_REJECTED',
  CXONE_UNAVAILABLE: 'CXONE_UNAVAILABLE',
  CXONE_CONTRACT_BROKEN: 'CXONE_CONTRACT_BROKEN',
  FRAUD_CHECK_UNAVAILABLE: 'FRAUD_CHECK_UNAVAILABLE',
  OUTCOME_UNKNOWN: 'OUTCOME_UNKNOWN',
  DEADLINE_EXCEEDED: 'DEADLINE_EXCEEDED',
  IDEMPOTENCY_CONFLICT: 'IDEMPOTENCY_CONFLICT',
  IDEMPOTENCY_IN_FLIGHT: 'IDEMPOTENCY_IN_FLIGHT',
  NOT_FOUND: 'NOT_FOUND',
  LEDGER_UNAVAILABLE: 'LEDGER_UNAVAILABLE',
  WEBHOOKS_DISABLED: 'WEBHOOKS_DISABLED',
} as const;
export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode];

/** The steps of opening a session, in order, and one each for ending it, erasing a guest and sending webhooks again. */
export const PipelineStage = {
  VALIDATE: 'VALIDATE',
  RECOGNISE: 'RECOGNISE',
  FRAUD: 'FRAUD',
  RESERVE: 'RESERVE',
  AUTHENTICATE: 'AUTHENTICATE',
  CAPACITY: 'CAPACITY',
  CREATE: 'CREATE',
  CLOSE: 'CLOSE',
  END: 'END',
  ERASE: 'ERASE',
  REPLAY: 'REPLAY',
} as const;
export type PipelineStage = keyof typeof PipelineStage;

/** `REJECTED`: our rules said no. `FAILED`: something broke. */
export type RefusalStatus = 'REJECTED' | 'FAILED';

interface Meaning {
  readonly status: RefusalStatus;
  /** Whether the same request, sent again later, may succeed. */
  readonly retryable: boolean;
  /** What the public may read. */
  readonly message: string;
}

const MEANINGS: Readonly<Record<ErrorCode, Meaning>> = {
  INVALID_INPUT: { status: 'REJECTED', retryable: false, message: 'The input is not valid.' },
  FRAUD_BLOCKED: { status: 'REJECTED', retryable: false, message: 'The request was refused by the fraud check.' },
  CAPACITY_EXCEEDED: {
    status: 'REJECTED',
    retryable: true,
    message: 'The guest has as many live sessions as are allowed. Try again when one of them has ended.',
  },
  RATE_LIMITED: { status: 'FAILED', retryable: true, message: 'CXone asks to slow down. Try again later.' },
  CXONE_AUTH_FAILED: { status: 'FAILED', retryable: false, message: 'CXone does not accept our credentials.' },
  CXONE_SCOPE_MISSING: {
    status: 'FAILED',
    retryable: false,
    message: 'Our CXone credentials lack the right to do that.',
  },
  CXONE_SCHEMA_REJECTED: { status: 'FAILED', retryable: false, message: 'CXone found fault with the session request.' },
  CXONE_REJECTED: { status: 'FAILED', retryable: false, message: 'CXone refused the session request.' },
  CXONE_UNAVAILABLE: { status: 'FAILED', retryable: true, message: 'CXone cannot be reached. Try again later.' },
  CXONE_CONTRACT_BROKEN: { status: 'FAILED', retryable: false, message: 'CXone gave an answer that cannot be read.' },
  FRAUD_CHECK_UNAVAILABLE: {
    status: 'FAILED',
    retryable: true,
    message: 'The fraud check cannot be reached. Try again later.',
  },
  OUTCOME_UNKNOWN: {
    status: 'FAILED',
    retryable: false,
    message:
      "CXone took the request, but its answer was lost: the session may or may not exist, and the guest's place stays held. " +
      'With an idempotency key, try again with the same one.',
  },
  DEADLINE_EXCEEDED: {
    status: 'FAILED',
    retryable: true,
    message: 'It took longer than allowed and was given up. No session was opened. Try again.',
  },
  IDEMPOTENCY_CONFLICT: {
    status: 'REJECTED',
    retryable: false,
    message: 'This idempotency key was used for another input. Use a new key for a new intent.',
  },
  IDEMPOTENCY_IN_FLIGHT: {
    status: 'FAILED',
    retryable: true,
    message: 'An earlier request with this idempotency key is still at work. Try again with the same key.',
  },
  NOT_FOUND: { status: 'REJECTED', retryable: false, message: 'There is no such session.' },
  LEDGER_UNAVAILABLE: {
    status: 'FAILED',
    retryable: true,
    message: 'The server cannot write to its database at the moment. Try again later.',
  },
  WEBHOOKS_DISABLED: {
    status: 'REJECTED',
    retryable: false,
    message: "The CRM's endpoint is disabled: resume it first (resumeWebhookEndpoint).",
  },
};

/** One thing wrong with the input, at one place in it. */
export interface FieldProblem {
  /** Path from the mutation's arguments, e.g. `['input', 'ipMetadata', 'country']`. */
  readonly field: readonly string[];
  readonly message: string;
}

export interface AttemptErrorOptions {
  /** For operations: kept in the audit trail and the log, never shown to the public. Must hold no secret. */
  readonly detail?: string | undefined;
  /** When a retry makes sense, in seconds. */
  readonly retryAfterSeconds?: number | undefined;
  /** Where it differs from what the code usually means. */
  readonly retryable?: boolean;
  /** What the public may read, where it differs. */
  readonly message?: string;
  /** All that is wrong with the input (INVALID_INPUT). */
  readonly problems?: readonly FieldProblem[];
  /** Only errors that carry no credential: foreign errors are translated where they are caught. */
  readonly cause?: unknown;
}

/** The one error of the pipeline: it knows how the attempt ends, whether to retry, and what the public may read. */
export class AttemptError extends Error {
  override readonly name = 'AttemptError';
  readonly status: RefusalStatus;
  readonly retryable: boolean;
  readonly retryAfterSeconds: number | undefined;
  readonly detail: string | undefined;
  readonly problems: readonly FieldProblem[];

  constructor(
    readonly code: ErrorCode,
    options: AttemptErrorOptions = {},
  ) {
    const meaning = MEANINGS[code];
    super(options.message ?? meaning.message, { cause: options.cause });
    this.status = meaning.status;
    this.retryable = options.retryable ?? meaning.retryable;
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.detail = options.detail;
    this.problems = options.problems ?? [];
  }
}

/** What is logged of an error of the pipeline. */
export function loggable({ code, detail, message }: AttemptError): {
  readonly code: ErrorCode;
  readonly reason: string;
} {
  return { code, reason: (detail ?? message).replace(UPSTREAMS_WORDS, '$1') };
}

/** They may name the guest, whom a log cannot forget: the audit trail has them, sealed. */
const UPSTREAMS_WORDS = /( answered \d{3}): .*/s;

/** A bug of ours: the public is told the request id and nothing else. */
export class InternalError extends Error {
  override readonly name = 'InternalError';

  constructor(
    readonly requestId: string,
    options: { cause: unknown },
  ) {
    super('Something went wrong on our side.', options);
  }
}

/** A cursor of the event log is older than what is kept: not all that came after it can be told any more. */
export class CursorExpiredError extends Error {
  override readonly name = 'CursorExpiredError';

  constructor() {
    super(
      'The cursor "after" is older than the events that are kept: some that came after it are gone. Read "events" without ' +
        '"after" from the oldest that is left, and compare what you have with "sessions".',
    );
  }
}

/** The server cannot start: the message lists every problem, one a line. */
export class StartupError extends Error {
  override readonly name = 'StartupError';
}
