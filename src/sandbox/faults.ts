/** The calls that a sandbox answers and that a scenario can make fail. */
export type SandboxCall = 'token' | 'list' | 'create' | 'end' | 'webhook';

/** One way of going wrong, as the client meets it. Where a good answer has no body (204), a broken one is a 200. */
export type Fault =
  /** 429 (or 503). `retryAfter` is the raw header value; absent means no header. */
  | { kind: 'rate-limit'; retryAfter?: string; status?: 429 | 503 }
  /** Any status. `body` is sent as it is; the default is a JSON error, for `token` one after RFC 6749. */
  | { kind: 'status'; status: number; body?: string; headers?: Record<string, string> }
  /** An error of any status that repeats the request and, after the work, the answer: as JSON (the default), or as text. */
  | { kind: 'echo'; status: number; as?: 'json' | 'text' }
  /** The connection is dropped as soon as the request shows, without a byte of answer. */
  | { kind: 'outage' }
  /** The request is read, then the connection is reset (RST). */
  | { kind: 'reset' }
  /** The normal answer, late. */
  | { kind: 'slow'; delayMs: number }
  /** Never an answer. */
  | { kind: 'hang' }
  /** Headers at once, then a byte of the body each `everyMs` (100), for ever. */
  | { kind: 'drip'; everyMs?: number }
  /** 2xx with a body that is not JSON. */
  | { kind: 'malformed' }
  /** `Content-Length` promises more than is sent before the connection ends. */
  | { kind: 'truncated' }
  /** 2xx with JSON of the wrong shape: `{}`. */
  | { kind: 'wrong-shape' }
  /** 2xx with 5 MB of JSON. */
  | { kind: 'oversized' };

/** When a fault strikes. */
export interface Scenario {
  on: SandboxCall;
  fault: Fault;
  /** How many calls it strikes; default: all, until it is cleared. */
  times?: number;
  /**
   * Whether the fault comes before or after the work (opening or ending the session, issuing the token, taking the webhook).
   * `before` is the default: the work is never done.
   *
   * A `slow` call always does its work: at once, and only the answer is late (`after`, its default), or when the
   * delay is over, whether or not the client is still there (`before`).
   */
  when?: 'before' | 'after';
  /** Only calls for this guest; not for `token`, which knows of none. */
  guestId?: string;
  /** Leaves the first n matching calls alone, counted from when the scenario was added. */
  skip?: number;
}
