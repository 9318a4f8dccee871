/** CXone's HTTP, as types: what both our client and the sandbox speak. Nothing here runs. */

/** `POST /oauth/token`, form-encoded, RFC 6749 §4.4. */
export interface TokenResponse {
  access_token: string;
  token_type: string;
  /** Seconds. */
  expires_in: number;
  /** Space-separated; absent means unknown, not none. */
  scope?: string;
}

/** RFC 6749 §5.2. */
export interface TokenErrorResponse {
  error: string;
  error_description?: string;
}

/** `POST /api/v1/messaging/sessions`. */
export interface CreateSessionResponse {
  sessionId: string;
  /** The guest's credential. */
  token: string;
  /** ISO 8601. */
  expiresAt: string;
  status: string;
}

/** `GET /api/v1/messaging/sessions?guestId=…&status=active`. */
export interface ListSessionsResponse {
  items: ListedSession[];
}

export interface ListedSession {
  sessionId: string;
  guestId: string;
  status: string;
  createdAt: string;
  expiresAt: string;
  /** Some tenants repeat the guest's credential. */
  token?: string;
  /** Some tenants echo what the POST carried. */
  routing?: { attributes?: { requestId?: string } };
}
