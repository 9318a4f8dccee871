import { randomBytes } from 'node:crypto';
import type { TokenErrorResponse, TokenResponse } from '../cxone/wire.js';
import type { Answer } from './answer.js';
import type { Inbound } from './inbound.js';

export interface TokenEndpointOptions {
  clientId: string;
  clientSecret: string;
  ttlSeconds: number;
  /** Null: the answer has no `scope`. */
  scope: string | null;
  /** Stands in every bearer. */
  credentialMark: string;
}

/** RFC 6749 forbids caches to keep what this endpoint says. */
const NO_STORE = { 'cache-control': 'no-store', pragma: 'no-cache' };

/** `POST /oauth/token` for client credentials (RFC 6749 §4.4), and the bearers that it has issued. */
export class TokenEndpoint {
  readonly #options: TokenEndpointOptions;
  /** Bearer → when it expires, oldest first. */
  readonly #expiries = new Map<string, number>();

  constructor(options: TokenEndpointOptions) {
    this.#options = options;
  }

  issue(request: Inbound): Answer {
    if (request.mediaType !== 'application/x-www-form-urlencoded') {
      return refusal(400, 'invalid_request', 'The body must be application/x-www-form-urlencoded');
    }
    const form = new URLSearchParams(request.body);
    const twice = [...form.keys()].find((name) => form.getAll(name).length > 1);
    if (twice) return refusal(400, 'invalid_request', `${twice} is given more than once`);
    const grantType = form.get('grant_type');
    if (!grantType) return refusal(400, 'invalid_request', 'grant_type is missing');
    if (grantType !== 'client_credentials') {
      return refusal(400, 'unsupported_grant_type', 'Only client_credentials is supported');
    }
    const { clientId, clientSecret, ttlSeconds, scope, credentialMark } = this.#options;
    if (form.get('client_id') !== clientId || form.get('client_secret') !== clientSecret) {
      return refusal(401, 'invalid_client', 'Client authentication failed');
    }
    this.#forgetExpired();
    const bearer = credentialMark + randomBytes(32).toString('base64url');
    this.#expiries.set(bearer, Date.now() + ttlSeconds * 1000);
    const body: TokenResponse = {
      access_token: bearer,
      token_type: 'Bearer',
      expires_in: ttlSeconds,
      ...(scope !== null && { scope }),
    };
    return { status: 200, body, headers: NO_STORE };
  }

  /** Null when the request carries a bearer that is valid now, else the 401. */
  refuse(request: Inbound): Answer | null {
    const bearer = /^Bearer (\S+)$/i.exec(request.header('authorization') ?? '')?.[1];
    if (bearer !== undefined && (this.#expiries.get(bearer) ?? 0) > Date.now()) return null;
    return {
      status: 401,
      body: { error: 'unauthorized', message: 'The bearer token is missing, unknown or expired' },
      headers: { 'www-authenticate': bearer === undefined ? 'Bearer' : 'Bearer error="invalid_token"' },
    };
  }

  /** No bearer issued so far is valid any more. */
  revokeAll(): void {
    this.#expiries.clear();
  }

  #forgetExpired(): void {
    for (const [bearer, expiry] of this.#expiries) {
      if (expiry > Date.now()) return;
      this.#expiries.delete(bearer);
    }
  }
}

function refusal(status: number, error: string, description: string): Answer {
  const body: TokenErrorResponse = { error, error_description: description };
  return { status, body, headers: NO_STORE };
}
