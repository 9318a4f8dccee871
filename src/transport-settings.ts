import type { z } from 'zod';
import { whole } from './setting-formats.js';

/** How many sockets there may be, and how much each may take. */
export interface SocketLimits {
  /** Of everybody, at once. */
  readonly sockets: number;
  /** Of one address, at once; or of one /64 of IPv6. */
  readonly socketsPerAddress: number;
  /** Of one socket, at once. */
  readonly subscriptions: number;
  /** A message that comes in several frames counts as one. */
  readonly frameBytes: number;
  /** How long a client may take to say who it is. */
  readonly initTimeoutMs: number;
}

/** How much the server takes from whom it does not know yet. */
export interface TransportConfig {
  readonly maxBodyBytes: number;
  /** How long a client may take to send a request, its headers and its body. */
  readonly requestTimeoutMs: number;
  readonly sockets: SocketLimits;
}

/** The settings of it, as in the environment. */
export const transportSettings = {
  MAX_BODY_BYTES: whole(1000, 10_000_000).default(100_000),
  REQUEST_TIMEOUT_MS: whole(100, 300_000).default(10_000),
  MAX_SOCKETS: whole(0, 1_000_000).default(10_000),
  MAX_SOCKETS_PER_ADDRESS: whole(0, 1_000_000).default(50),
  MAX_SUBSCRIPTIONS_PER_SOCKET: whole(1, 10_000).default(20),
  MAX_FRAME_BYTES: whole(1000, 1_000_000).default(100_000),
  SOCKET_INIT_TIMEOUT_MS: whole(100, 60_000).default(3000),
};

type Environment = z.output<z.ZodObject<typeof transportSettings>>;

/** What the settings mean. */
export const transportConfig = (env: Environment): TransportConfig => ({
  maxBodyBytes: env.MAX_BODY_BYTES,
  requestTimeoutMs: env.REQUEST_TIMEOUT_MS,
  sockets: {
    sockets: env.MAX_SOCKETS,
    socketsPerAddress: env.MAX_SOCKETS_PER_ADDRESS,
    subscriptions: env.MAX_SUBSCRIPTIONS_PER_SOCKET,
    frameBytes: env.MAX_FRAME_BYTES,
    initTimeoutMs: env.SOCKET_INIT_TIMEOUT_MS,
  },
});
