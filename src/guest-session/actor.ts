/** `SYSTEM` is a part of the server; the others are roles of API keys and tokens. */
export type ActorRole = 'GUEST' | 'BACKEND' | 'CRM' | 'OPS' | 'SYSTEM';

/** Who did something, for the audit trail. */
export interface Actor {
  /** The name of an API key or a token, `local` where the server runs without keys, or of a part of the server. */
  readonly name: string;
  /** Null where it was not written down. */
  readonly role: ActorRole | null;
  /** Where it came from, pseudonymised; null where nobody asked, or it is not known. */
  readonly sourceAddress: string | null;
}

/** As much of a caller as an audit entry tells. */
export const actorOf = ({ name, role, sourceAddress }: Actor): Actor => ({ name, role, sourceAddress });

/** A part of the server that does something by itself. */
export const systemActor = (name: string): Actor => ({ name, role: 'SYSTEM', sourceAddress: null });
