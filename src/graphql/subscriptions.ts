import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { GraphQLSchema } from 'graphql';
import { handleProtocols } from 'graphql-ws';
import { WebSocketServer } from 'ws';
import type { Arrival } from '../access/gate.js';
import type { SocketLimits } from '../transport-settings.js';
import { admitUpgrade, refuseStranger, type UpgradeRules } from './admit-upgrade.js';
import type { Authenticate } from './authenticate.js';
import type { KnownCaller, Services } from './context.js';
import { formatError } from './error-format.js';
import { FanOut } from './fan-out.js';
import { MessageRate } from './message-rate.js';
import { refuseUpgrade } from './refuse-upgrade.js';
import type { RequestLimits } from './request-limits.js';
import type { ForbiddenListener } from './schema.js';
import { serveSocket } from './serve-socket.js';
import { SocketQuota } from './socket-quota.js';
import { makeProtocol } from './subscription-protocol.js';
import { SubscriptionSocket } from './subscription-socket.js';

/** How long clients have to answer a close; one that stands still never does, and who is sent away need not agree to it. */
const CLOSE_TIMEOUT_MS = 1_000;

export interface SubscriptionServerOptions extends UpgradeRules {
  readonly schema: GraphQLSchema;
  readonly limits: RequestLimits;
  readonly socketLimits: SocketLimits;
  readonly services: Services;
  /** How many events that match may wait for a subscriber whose socket takes nothing. */
  readonly maxBufferedEvents: number;
  /** Who a socket belongs to, by the `Authorization` of its `connection_init`; rejects for nobody, and for who asks too often. */
  readonly authenticate: Authenticate;
  /** Hears of introspection by who may not use it. */
  readonly onForbidden: ForbiddenListener;
  /** Counts a subscription. @returns in how many seconds to ask again, where that is too often */
  countRequest(caller: KnownCaller, client: string | null): Promise<number | null>;
  /** Counts a socket, or an upgrade, that nobody with a good key has come by. */
  countStranger(client: string | null): Promise<void>;
  /** In how many seconds another socket may be tried from there; null: now. */
  waitOfStrangers(client: string | null): Promise<number | null>;
  /** Calls `revoke` when the caller may not stay any longer; gives what to call when it goes by itself. */
  hold(caller: object, revoke: () => void): () => void;
  /** Where a request comes from. */
  arrivalOf(request: IncomingMessage): Arrival;
  readonly log: { error(fields: object, message: string): void };
  /** How often sockets are looked after; 15 seconds if left out. */
  readonly keepAliveMs?: number;
}

/** Subscriptions, on the same port as HTTP. */
export function attachSubscriptions(http: Server, options: SubscriptionServerOptions): AsyncDisposable {
  const { socketLimits, services, log, maxBufferedEvents } = options;
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: socketLimits.frameBytes,
    perMessageDeflate: false,
    handleProtocols,
    ...{ closeTimeout: CLOSE_TIMEOUT_MS }, // which its types do not know
  });
  const format = formatError(log);
  const fanOut = new FanOut({ format, maxBufferedEvents });

  const protocol = makeProtocol({ ...options, fanOut, format });

  const quota = new SocketQuota(socketLimits);

  const onBug = (error: unknown) => log.error({ err: error }, 'an upgrade failed on a bug of ours');
  const countStranger = (client: string | null) => void options.countStranger(client).catch(onBug);

  const answerUpgrade = (
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    arrival: Arrival,
    waitSeconds: number | null,
  ): void => {
    if (socket.destroyed) return; // it would not tell once more that it is closed, and so keep its place
    const refusal =
      waitSeconds === null
        ? admitUpgrade(request, socket, arrival, options, quota)
        : refuseStranger(waitSeconds, arrival, options);
    if (refusal) {
      countStranger(arrival.client);
      refuseUpgrade(socket, refusal);
    } else {
      sockets.handleUpgrade(request, socket, head, (webSocket) => {
        const subscriptionSocket = new SubscriptionSocket(webSocket, socket, options.keepAliveMs);
        const rate = new MessageRate(socketLimits.subscriptions);
        const onStranger = () => countStranger(arrival.client);
        serveSocket(webSocket, { socket: subscriptionSocket, arrival, rate, onStranger }, protocol, log);
      });
    }
  };
  const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    socket.on('error', () => undefined); // it may go while it is looked up
    const arrival = options.arrivalOf(request);
    options
      .waitOfStrangers(arrival.client)
      .then((waitSeconds) => answerUpgrade(request, socket, head, arrival, waitSeconds))
      .catch((error: unknown) => {
        onBug(error);
        socket.destroy();
      });
  };
  http.on('upgrade', upgrade);
  sockets.on('wsClientError', ({ message }, socket, request) => {
    countStranger(options.arrivalOf(request).client);
    refuseUpgrade(socket, { status: 400, code: 'BAD_REQUEST', message, headers: { 'sec-websocket-version': '13' } });
  });

  return {
    async [Symbol.asyncDispose]() {
      http.off('upgrade', upgrade);
      await fanOut.flush(CLOSE_TIMEOUT_MS);
      services.stream.end();
      // graphql-ws writes `complete` for each subscription before its socket is closed with 1001.
      await new Promise(setImmediate);
      for (const socket of sockets.clients) socket.close(1001, 'Going away');
      // Also those whose client has closed its half of the connection, to which the one above is not applied.
      const cut = setTimeout(() => {
        for (const socket of sockets.clients) socket.terminate();
      }, CLOSE_TIMEOUT_MS);
      await new Promise((resolve) => sockets.close(resolve));
      clearTimeout(cut);
    },
  };
}
