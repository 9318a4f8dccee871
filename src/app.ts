import type { IncomingHttpHeaders } from 'node:http';
import { isFromThisMachine } from './access/from-this-machine.js';
import type { Config, Settings } from './config.js';
import { createEngine, type Engine, type Overrides } from './engine.js';
import { authenticateAt } from './graphql/authenticate.js';
import { createContext } from './graphql/context.js';
import { tooManyRequests } from './graphql/error-format.js';
import { buildGraphqlSchema, type ForbiddenListener } from './graphql/schema.js';
import { startApollo } from './graphql/server.js';
import { attachSubscriptions } from './graphql/subscriptions.js';
import { GRAPHQL_PATH, startHttpServer } from './http/http-server.js';
import { PLAYGROUND } from './paths.js';
import { Teardown } from './teardown.js';

/** What an attempt may need beyond its deadline, to be closed and answered. */
const DRAIN_MARGIN_MS = 5_000;

/** The server, listening. */
export interface App extends AsyncDisposable {
  readonly url: string;
  /** The settings that it runs with. */
  readonly config: Config;
  /** Whether callers have to show an API key or a token. */
  readonly asksForKeys: boolean;
  readonly engine: Engine;
}

/** Starts the server. Disposing of it drains: what was accepted is answered, then subscriptions, outbox and books are closed. */
export async function createApp(settings: Settings, overrides: Overrides = {}): Promise<App> {
  const { config } = settings;
  const teardown = new Teardown();
  try {
    const engine = teardown.use(await createEngine(settings, overrides));
    const { services, log, gate, rates, creationRates } = engine;
    const authenticate = authenticateAt(gate, rates);
    const answersTo = (headers: IncomingHttpHeaders) => gate.asksForKeys || isFromThisMachine(headers);
    const onForbidden: ForbiddenListener = (caller, field) => gate.forbid(caller, field);
    const schema = buildGraphqlSchema(onForbidden);
    const apollo = teardown.use(await startApollo(schema, config.limits, onForbidden, log));
    const server = teardown.use(
      await startHttpServer({
        host: config.host,
        port: config.port,
        apollo,
        createContext: async ({ authorization, message, idempotencyKey }) => {
          const arrival = gate.arrivalOf(message);
          const caller = await authenticate(authorization, arrival);
          return createContext(caller, services, {
            idempotencyKeyHeader: idempotencyKey,
            connection: arrival.connection,
            limitCreation: (asked, open) => creationRates.limit({ ...asked, caller, client: arrival.client }, open),
          });
        },
        countRefused: (message) => rates.countRefused(gate.arrivalOf(message).client),
        // The status is the HTTP server's to give.
        tooManyRequests: (seconds) => tooManyRequests(seconds, 'socket'),
        ...config.transport,
        answersTo,
        knowsOrigin: (origin) => gate.knowsOrigin(origin),
        drainTimeoutMs: config.createDeadlineMs + DRAIN_MARGIN_MS,
        log,
        isHealthy: () => engine.isHealthy(),
        playgroundDirectory: config.playground ? PLAYGROUND : null,
        auditKeySet: engine.auditKeySet,
      }),
    );
    teardown.use(
      attachSubscriptions(server.app.server, {
        path: GRAPHQL_PATH,
        schema,
        limits: config.limits,
        socketLimits: config.transport.sockets,
        services,
        maxBufferedEvents: config.stream.maxBufferedEvents,
        authenticate,
        onForbidden,
        countRequest: (caller, client) => rates.countRequest(caller, client),
        countStranger: (client) => rates.countStranger(client),
        waitOfStrangers: (client) => rates.waitOfStrangers(client),
        hold: (caller, revoke) => gate.hold(caller, revoke),
        arrivalOf: (request) => gate.arrivalOf(request),
        admitsOrigin: (arrival) => gate.admitsOrigin(arrival),
        onTurnedAway: (sourceAddress, reason) => gate.turnAway(sourceAddress, reason),
        answersTo,
        log,
      }),
    );
    teardown.defer(() => server.stopListening());
    return {
      url: server.url,
      asksForKeys: gate.asksForKeys,
      config,
      engine,
      [Symbol.asyncDispose]: () => teardown[Symbol.asyncDispose](),
    };
  } catch (error) {
    await teardown[Symbol.asyncDispose]();
    throw error;
  }
}
