import type { ActorRole } from './actor.js';
import type { CreateGuestSessionRequest, ValidRequest } from './ports.js';

/** What is known of the connection that a guest comes from. */
export interface GuestConnection {
  /** Whether it comes through an anonymising proxy, a VPN or Tor. */
  readonly isProxy: boolean;
  /** ISO 3166-1 alpha-2; null where it is not known. */
  readonly country: string | null;
}

/** Of a connection that nobody tells anything about. */
export const UNKNOWN_CONNECTION: GuestConnection = { isProxy: false, country: null };

/**
 * Programs of yours, which know the guest's connection: theirs to us is another one. Everybody else is the guest, or a page in
 * the guest's hands, who would say what scores least.
 */
const BELIEVED: ReadonlySet<ActorRole> = new Set(['BACKEND', 'OPS']);

/**
 * The request with what is believed of the guest's connection as its `ipMetadata`: what the caller says, or from others what
 * the server knows itself. What is not believed is not looked at, so it cannot be wrong either.
 */
export const withBelievedConnection = (
  request: CreateGuestSessionRequest,
  { role }: { readonly role: ActorRole },
): CreateGuestSessionRequest =>
  BELIEVED.has(role) ? request : { ...request, ipMetadata: request.connection ?? UNKNOWN_CONNECTION };

/**
 * What an idempotency key is held to: a request that is sent again with it has to be the same in this. That is all that the
 * caller has said, and so not what we have found out: a phone that has left its wireless network goes on with its intent.
 */
export function intentOf(request: ValidRequest, { role }: { readonly role: ActorRole }): object {
  const { idempotencyKey: _, ...input } = request;
  if (BELIEVED.has(role)) return input;
  const { isProxy: _isProxy, country: _country, ...said } = input;
  return said;
}
