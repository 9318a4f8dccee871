/** Why a stream of session events cannot go on. */
export class SessionEventsError extends Error {
  /**
   * What to switch on. A string where the server has refused the subscription (`CURSOR_EXPIRED`, `BAD_USER_INPUT`,
   * `UNAUTHENTICATED`, …) or where there was no connection (`ECONNREFUSED`); a number where the connection was closed for good
   * (4401 or 4403: no valid key); undefined where nobody has said, as in a browser that cannot connect.
   */
  readonly code: string | number | undefined;

  /** @param cause what the client gave: errors of GraphQL, a close event, or an error of the socket */
  constructor(cause: unknown) {
    const { message, code } = explain(cause);
    super(message, { cause });
    this.name = 'SessionEventsError';
    this.code = code;
  }
}

/** What the client may give, all at once. */
interface Failure {
  readonly message?: string;
  readonly code?: string | number;
  readonly reason?: string;
  readonly extensions?: { readonly code?: string };
  /** Where the socket of Node's `ws` keeps the error that it tells of. */
  readonly error?: { readonly code?: string };
}

function explain(cause: unknown): Pick<SessionEventsError, 'message' | 'code'> {
  const failure = ((Array.isArray(cause) ? cause[0] : cause) ?? {}) as Failure;
  const code = failure.extensions?.code ?? failure.error?.code ?? failure.code;
  if (failure.message) return { message: failure.message, code };
  if (typeof code !== 'number') return { message: 'There is no connection to the server.', code };
  return { message: `The connection was closed with ${code} ${failure.reason ?? ''}`.trimEnd(), code };
}
