import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { NOT_FROM_HERE } from '../access/from-this-machine.js';
import type { Arrival } from '../access/gate.js';
import type { UpgradeRefusal } from './refuse-upgrade.js';
import type { FullBy, SocketQuota } from './socket-quota.js';

/** What a client that finds no place is told to wait. */
const RETRY_AFTER_SECONDS = 10;

const NOT_HERE: UpgradeRefusal = { status: 404, code: 'BAD_REQUEST', message: 'There are no sockets at this path.' };
const MISDIRECTED: UpgradeRefusal = {
  status: 421,
  code: 'BAD_REQUEST',
  message: NOT_FROM_HERE,
};
const FOREIGN: UpgradeRefusal = {
  status: 403,
  code: 'FORBIDDEN',
  message: 'Pages of this origin may not open sockets here.',
};
const FULL: Readonly<Record<FullBy, Pick<UpgradeRefusal, 'status' | 'message'>>> = {
  MAX_SOCKETS: { status: 503, message: 'The server has as many sockets as it may have. Try again later.' },
  MAX_SOCKETS_PER_ADDRESS: {
    status: 429,
    message: 'Your address has as many sockets as it may have. Close some, or put more subscriptions on one.',
  },
};

/** Refuses an upgrade because of those before it, and has that written down. */
export function refuseStranger(seconds: number, { sourceAddress }: Arrival, rules: UpgradeRules): UpgradeRefusal {
  rules.onTurnedAway(sourceAddress, 'too many sockets without a good key in a minute, by RATE_PER_ADDRESS');
  return {
    status: 429,
    code: 'TOO_MANY_REQUESTS',
    message: `Too many sockets of your address were opened without a good key. Try again in ${seconds} s.`,
    limit: 'RATE_PER_ADDRESS',
    headers: { 'retry-after': String(seconds) },
  };
}

export interface UpgradeRules {
  readonly path: string;
  /** Whether pages of another origin may open sockets. */
  admitsOrigin(arrival: Arrival): boolean;
  /** Whether a request with these headers is ours to answer. */
  answersTo(headers: IncomingHttpHeaders): boolean;
  /** Hears whom there was no place for. @param sourceAddress null where it is nobody's fault */
  onTurnedAway(sourceAddress: string | null, reason: string): void;
}

/**
 * Decides on a request for a socket, and gives it its place.
 * @returns why there is to be none; null: it may go on
 */
export function admitUpgrade(
  request: IncomingMessage,
  connection: Duplex,
  arrival: Arrival,
  rules: UpgradeRules,
  quota: SocketQuota,
): UpgradeRefusal | null {
  if (request.url?.split('?', 1)[0] !== rules.path) return NOT_HERE;
  if (!rules.answersTo(request.headers)) return MISDIRECTED;
  // A page of another site must not read our events through its visitor's browser.
  if (!arrival.isSameOrigin && !rules.admitsOrigin(arrival)) return FOREIGN;
  const limit = quota.take(arrival.client, connection);
  if (limit === null) return null;
  const isOwnFault = limit === 'MAX_SOCKETS_PER_ADDRESS';
  rules.onTurnedAway(isOwnFault ? arrival.sourceAddress : null, `no place for another socket: ${limit}`);
  const headers = { 'retry-after': String(RETRY_AFTER_SECONDS) };
  return { ...FULL[limit], code: 'TOO_MANY_SOCKETS', limit, headers };
}
