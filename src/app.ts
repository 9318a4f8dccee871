import { fileURLToPath } from 'node:url';
import type { Logger } from 'pino';
import { identify } from './access/api-keys.js';
import { isLoopback, type Settings } from './config.js';
import { CrmWebhook } from './crm/crm-webhook.js';
import { OutboxWorker } from './crm/deliver-outbox.js';
import { webhookBody } from './crm/webhook-body.js';
import { AccessTokens } from './cxone/access-token.js';
import { CxoneClient } from './cxone/cxone-client.js';
import { CxoneExchange } from './cxone/exchange.js';
import { HttpScorer } from './fraud/http-scorer.js';
import { SimulatedScorer } from './fraud/simulated-scorer.js';
import { createContext, type Services } from './graphql/context.js';
import { unauthenticated } from './graphql/error-format.js';
import { buildGraphqlSchema } from './graphql/schema.js';
import { startApollo } from './graphql/server.js';
import { attachSubscriptions } from './graphql/subscriptions.js';
import { AttemptsUnderWay } from './guest-session/attempts-under-way.js';
import { createGuestSession } from './guest-session/create-guest-session.js';
import type { Ports } from './guest-session/ports.js';
import { GRAPHQL_PATH, startHttpServer } from './http/http-server.js';
import { ExpirySweep } from './lifecycle/expiry-sweep.js';
import { SessionEventStream } from './lifecycle/session-event-stream.js';
import { createLog } from './log.js';
import { createHttpClient } from './outbound/http-client.js';
import { wasNothingSent } from './outbound/undici-adapter.js';
import { CrmSandbox } from './sandbox/crm-sandbox.js';
import { CxoneSandbox } from './sandbox/cxone-sandbox.js';
import { SqliteAttemptLedger } from './store/attempt-ledger.js';
import { AuditReader } from './store/audit-reader.js';
import { deriveKey, keyBesideDatabase } from './store/encryption-key.js';
import { EventReader } from './store/event-reader.js';
import { SessionExpiry } from './store/expiry.js';
import { MetricsReader } from './store/metrics-reader.js';
import { openDatabase } from './store/open-database.js';
import { Outbox } from './store/outbox.js';
import { SessionReader } from './store/session-reader.js';
import { ThreadedLedger } from './store/threaded-ledger.js';
import { Teardown } from './teardown.js';

/** What an attempt may need beyond its deadline, to be closed and answered. */
const DRAIN_MARGIN_MS = 5_000;

/** What a test or an embedding program may put in place of the usual. */
export interface Overrides {
  readonly log?: Logger;
  /** Called when the process can do no more good: by default it stays up, unready. */
  readonly onFatal?: () => void;
}

/** The product without its HTTP surface: pipeline, ledger, outbox, and the sandbox where there is no tenant. */
export interface Engine extends AsyncDisposable {
  readonly services: Services;
  readonly log: Logger;
  /** The embedded CXone and CRM; null where a real one is set up. */
  readonly sandbox: { readonly cxone: CxoneSandbox | null; readonly crm: CrmSandbox | null };
  readonly databasePath: string;
  /** False when nothing can be written any more. */
  isHealthy(): boolean;
}

/** Opens everything that opening a session takes. Disposing of it finishes what is under way and closes in reverse order. */
export async function createEngine({ config, secrets }: Settings, overrides: Overrides = {}): Promise<Engine> {
  const log = overrides.log ?? createLog(config.logLevel);
  const teardown = new Teardown();
  try {
    const usesSandbox = config.cxone.baseUrl === null;
    const cxoneSandbox = usesSandbox ? teardown.use(await CxoneSandbox.start()) : null;
    const crmSandbox = usesSandbox && config.crm.webhookUrl === null ? teardown.use(await CrmSandbox.start()) : null;
    const http = teardown.use(createHttpClient());

    const database = await openDatabase(config.databaseUrl);
    teardown.defer(() => database.close());
    const { appliedMigrations } = database;
    if (appliedMigrations.length > 0) log.debug({ appliedMigrations }, 'the database was brought up to date');
    const encryptionKey = secrets.encryptionKey ?? keyBesideDatabase(database.path);
    const ledger = teardown.use(await ThreadedLedger.start(database.path));
    let isHealthy = true;
    ledger.onFailure((error) => {
      isHealthy = false;
      log.fatal({ err: error }, 'the ledger thread died: nothing can be written any more');
      overrides.onFatal?.();
    });
    const events = new EventReader(database.prisma);
    const stream = new SessionEventStream(events, ledger.eventSequence);
    ledger.onCommit((committed) => stream.publish(committed.events));

    const webhookUrl = config.crm.webhookUrl ?? crmSandbox?.url ?? null;
    const outbox = webhookUrl === null ? null : new Outbox(ledger, database.reader, webhookBody);
    if (outbox && webhookUrl) {
      const settings = { url: webhookUrl, timeoutMs: config.crm.timeoutMs, secrets: secrets.crmWebhookSecrets };
      const worker = teardown.use(new OutboxWorker(outbox, new CrmWebhook(http.axios, settings), config.crm, log));
      await worker.start();
    }
    teardown.use(new ExpirySweep(new SessionExpiry(ledger, database.reader), log));

    const { timeoutMs, maxAttempts, retryBaseMs: baseMs, clientId, queueId } = config.cxone;
    const baseUrl = config.cxone.baseUrl ?? cxoneSandbox?.url ?? '';
    const retry = { maxAttempts, baseMs };
    const exchange = new CxoneExchange({ axios: http.axios, wasNothingSent }, { baseUrl, timeoutMs });
    const tokens = new AccessTokens(exchange, {
      clientId,
      clientSecret: secrets.cxoneClientSecret,
      retry,
      fetchDeadlineMs: config.createDeadlineMs,
    });
    const { fraud, maxConcurrentSessions, createDeadlineMs } = config;
    const ports: Ports = {
      scorer:
        fraud.provider === 'http' && fraud.serviceUrl
          ? new HttpScorer(http.axios, fraud.serviceUrl, fraud)
          : new SimulatedScorer(),
      cxone: new CxoneClient(exchange, tokens, retry),
      ledger: new SqliteAttemptLedger(ledger, database.reader, outbox, {
        maxConcurrentSessions,
        fingerprintKey: deriveKey(encryptionKey, 'device fingerprints'),
      }),
      log,
      rules: { fraudThreshold: fraud.threshold, maxConcurrentSessions, createDeadlineMs, defaultQueueId: queueId },
    };
    if (!usesSandbox && !fraud.serviceUrl)
      log.warn('FRAUD_PROVIDER is "simulated": it knows nothing of fraud and refuses about a quarter of all devices');

    const attempts = new AttemptsUnderWay((request, caller) => createGuestSession(request, caller, ports));
    teardown.use(attempts);
    return {
      services: {
        open: (request, caller) => attempts.run(request, caller),
        sessions: new SessionReader(database.prisma),
        audits: new AuditReader(database.prisma),
        events,
        metrics: new MetricsReader(database.prisma),
        stream,
      },
      log,
      sandbox: { cxone: cxoneSandbox, crm: crmSandbox },
      databasePath: database.path,
      isHealthy: () => isHealthy,
      [Symbol.asyncDispose]: () => teardown[Symbol.asyncDispose](),
    };
  } catch (error) {
    await teardown[Symbol.asyncDispose]();
    throw error;
  }
}

/** The server, listening. */
export interface App extends AsyncDisposable {
  readonly url: string;
  /** Whether callers have to show an API key. */
  readonly asksForKeys: boolean;
  readonly engine: Engine;
}

/** Starts the server. Disposing of it drains: what was accepted is answered, then subscriptions, outbox and books are closed. */
export async function createApp(settings: Settings, overrides: Overrides = {}): Promise<App> {
  const { config } = settings;
  const teardown = new Teardown();
  try {
    const engine = teardown.use(await createEngine(settings, overrides));
    const { services, log } = engine;
    const authenticate = (authorization: string | undefined) => {
      const caller = identify(config.apiKeys, authorization, new Date());
      if (!caller) throw unauthenticated('Send a valid API key: "Authorization: Bearer …".');
      return caller;
    };
    // A page whose name was made to point at loopback (DNS rebinding) is same-origin to a browser; its Host gives it away.
    const acceptsHost = (host = '') =>
      config.apiKeys.length > 0 ||
      (URL.canParse(`http://${host}`) && isLoopback(new URL(`http://${host}`).hostname.replace(/^\[|\]$/g, '')));
    const schema = buildGraphqlSchema();
    const apollo = await startApollo(schema, log);
    teardown.defer(() => apollo.stop());
    const server = teardown.use(
      await startHttpServer({
        host: config.host,
        port: config.port,
        apollo,
        createContext: (authorization) => createContext(authenticate(authorization), services),
        acceptsHost,
        drainTimeoutMs: config.createDeadlineMs + DRAIN_MARGIN_MS,
        log,
        isHealthy: () => engine.isHealthy(),
        playgroundDirectory: fileURLToPath(new URL('../dist/playground', import.meta.url)),
      }),
    );
    teardown.use(
      attachSubscriptions(server.app.server, { path: GRAPHQL_PATH, schema, services, authenticate, acceptsHost, log }),
    );
    teardown.defer(() => server.stopListening());
    return {
      url: server.url,
      asksForKeys: config.apiKeys.length > 0,
      engine,
      [Symbol.asyncDispose]: () => teardown[Symbol.asyncDispose](),
    };
  } catch (error) {
    await teardown[Symbol.asyncDispose]();
    throw error;
  }
}
