import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { CreationRates } from './access/creation-rates.js';
import { type Admitted, Gate } from './access/gate.js';
import { RequestRates } from './access/request-rates.js';
import type { Settings } from './config.js';
import { withCrashPoint, withWebhookCrashPoint } from './crash-points.js';
import { CrmWebhook } from './crm/crm-webhook.js';
import { OutboxWorker } from './crm/deliver-outbox.js';
import { WebhookReplays } from './crm/replay-webhooks.js';
import { longestWaitMs } from './crm/retry-schedule.js';
import { connectCxone } from './cxone/connect.js';
import { HttpScorer } from './fraud/http-scorer.js';
import { SimulatedScorer } from './fraud/simulated-scorer.js';
import type { Services } from './graphql/context.js';
import { createGuestSession } from './guest-session/create-guest-session.js';
import { Deadline } from './guest-session/deadline.js';
import { endGuestSession } from './guest-session/end-guest-session.js';
import { eraseGuest } from './guest-session/erase-guest.js';
import { RequestIdEcho } from './guest-session/request-id-echo.js';
import { settleAttempt } from './guest-session/settle-attempt.js';
import { SingleFlight } from './guest-session/single-flight.js';
import { UnderWay } from './guest-session/under-way.js';
import { ExpirySweep } from './lifecycle/expiry-sweep.js';
import { Reconciler } from './lifecycle/reconciler.js';
import { SessionEventStream } from './lifecycle/session-event-stream.js';
import { createLog } from './log.js';
import { createHttpClient } from './outbound/http-client.js';
import { wasNothingSent } from './outbound/undici-adapter.js';
import { recordStart } from './record-start.js';
import { CrmSandbox } from './sandbox/crm-sandbox.js';
import { CxoneSandbox } from './sandbox/cxone-sandbox.js';
import { SqliteAttemptLedger } from './store/attempt-ledger.js';
import { AuditCheckpoints } from './store/audit-checkpoints.js';
import { AuditReader } from './store/audit-reader.js';
import { type JwkSet, openSigner } from './store/audit-signer.js';
import { DeliveryReader } from './store/delivery-reader.js';
import { deriveKey } from './store/encryption-key.js';
import { EventReader } from './store/event-reader.js';
import { allExpiries } from './store/expiry.js';
import { SqliteIntentLedger } from './store/intent-ledger.js';
import { LedgerHealth } from './store/ledger-health.js';
import { masterKeysOf } from './store/master-cipher.js';
import { MetricsReader } from './store/metrics-reader.js';
import { openDatabase } from './store/open-database.js';
import { Outbox } from './store/outbox.js';
import { SqliteSessionLedger } from './store/session-ledger.js';
import { SessionReader } from './store/session-reader.js';
import { ThreadedLedger } from './store/threaded-ledger.js';
import { TokenCipher } from './store/token-cipher.js';
import { Teardown } from './teardown.js';

const OUTBOX_POLL_MS = 500;
const HOUR_MS = 3_600_000;

/** What a test or an embedding program may put in place of the usual. */
export interface Overrides {
  readonly log?: Logger;
  /** Called when the process can do no more good: by default it stays up, unready. */
  readonly onFatal?: () => void;
  /** The clock that webhooks are due by. */
  readonly now?: () => Date;
}

/** The product without its HTTP surface: pipeline, ledger, outbox, and the sandbox where there is no tenant. */
export interface Engine extends AsyncDisposable {
  readonly services: Services;
  readonly log: Logger;
  /** Who may come in. */
  readonly gate: Gate;
  /** How often. */
  readonly rates: RequestRates;
  /** How often somebody may ask for a session. */
  readonly creationRates: CreationRates;
  /** The embedded CXone and CRM; null where a real one is set up. */
  readonly sandbox: { readonly cxone: CxoneSandbox | null; readonly crm: CrmSandbox | null };
  readonly databasePath: string;
  /** The public keys of the audit trail's checkpoints; null where it is not signed. */
  readonly auditKeySet: JwkSet | null;
  /** False while nothing can be written. */
  isHealthy(): boolean;
}

/** Opens everything that opening a session takes. Disposing of it finishes what is under way and closes in reverse order. */
export async function createEngine({ config, secrets }: Settings, overrides: Overrides = {}): Promise<Engine> {
  const log = overrides.log ?? (await createLog(config.logLevel));
  const teardown = new Teardown();
  try {
    const usesSandbox = config.cxone.baseUrl === null;
    const cxoneSandbox = usesSandbox ? teardown.use(await CxoneSandbox.start()) : null;
    const crmSandbox = usesSandbox && config.crm.webhookUrl === null ? teardown.use(await CrmSandbox.start()) : null;
    const http = teardown.use(createHttpClient());

    const database = await openDatabase(config.databaseUrl, (path, mayMake) => masterKeysOf(secrets, path, mayMake));
    teardown.defer(() => database.close());
    const { masterKeys, vault } = database;
    const webhookUrl = config.crm.webhookUrl ?? crmSandbox?.url ?? null;
    const webhookEvents = webhookUrl === null ? [] : config.crm.events;
    const ledger = teardown.use(await ThreadedLedger.start({ path: database.path, masterKeys, webhookEvents }));
    const health = new LedgerHealth(ledger, log, () => overrides.onFatal?.());
    await recordStart({ config, ...database }, ledger, log);
    const signer = openSigner(secrets.auditSigningKey, usesSandbox ? database.path : null);
    const checkpointing = signer && { signer, file: config.auditCheckpointFile };
    if (checkpointing) teardown.use(await AuditCheckpoints.start(ledger, database.reader, checkpointing, log));
    else log.warn('AUDIT_SIGNING_KEY is not set: the audit trail is not signed');
    const { tokens } = config.access;
    const gate = new Gate({
      fixed: config.access.apiKeys,
      file: config.access.apiKeysFile,
      addressKey: vault.derive('source addresses'),
      tokens: tokens && { ...tokens, subjectKey: vault.derive('token subjects') },
      proxies: config.access.proxies,
      write: (refusals) => ledger.execute('recordRefusals', refusals, { linger: true }),
      writeKeyChange: (change) => ledger.execute('recordKeyChange', change),
      log,
    });
    teardown.use(gate);
    const ratesOptions = {
      limits: config.access.rates,
      onSlowDown: (caller: Admitted, setting: string) => gate.slowDown(caller, setting),
    };
    const rates = new RequestRates(ratesOptions);
    teardown.defer(() => rates[Symbol.dispose]());
    const creationRates = new CreationRates(ratesOptions);
    teardown.defer(() => creationRates[Symbol.dispose]());
    const events = new EventReader(database);
    const stream = new SessionEventStream(events, ledger.eventSequence);
    ledger.onCommit((committed) => stream.publish(committed.events, committed.erased));

    let outbox: Outbox | null = null;
    if (webhookUrl !== null) {
      const now = overrides.now ?? (() => new Date());
      const rules = {
        disableAfterMs: config.crm.disableAfterHours * HOUR_MS,
        longestWaitMs: longestWaitMs(config.crm.retryScheduleSeconds),
      };
      outbox = new Outbox(ledger, database.reader, { url: webhookUrl, rules }, now);
      const settings = { url: webhookUrl, timeoutMs: config.crm.timeoutMs, secrets: secrets.crmWebhookSecrets };
      const webhook = withWebhookCrashPoint(new CrmWebhook(http.axios, settings), config.crashAt);
      const worker = new OutboxWorker(outbox, webhook, { ...config.crm, pollIntervalMs: OUTBOX_POLL_MS }, log, now);
      await teardown.use(worker).start();
    }
    for (const [expiry, intervalMs] of allExpiries(ledger, database.reader, config))
      teardown.use(new ExpirySweep(expiry, intervalMs, log));

    const { fraud, maxConcurrentSessions, createDeadlineMs, cxone: tenant } = config;
    const upstream = {
      baseUrl: tenant.baseUrl ?? cxoneSandbox?.url ?? '',
      clientSecret: secrets.cxoneClientSecret,
      fetchDeadlineMs: createDeadlineMs,
    };
    const [encryptionKey, ...oldKeys] = masterKeys;
    const cipher = new TokenCipher(encryptionKey, oldKeys);
    const sessions = new SessionReader(database);
    const attemptLedger = teardown.use(
      new SqliteAttemptLedger(ledger, database, cipher, {
        maxConcurrentSessions,
        tellsCrm: webhookEvents.includes('SESSION_INITIATED'),
        fingerprintKey: deriveKey(encryptionKey, 'device fingerprints'),
      }),
    );
    const sessionLedger = new SqliteSessionLedger(ledger, database.reader, sessions, cipher);
    const inputKeys = masterKeys.map((key) => deriveKey(key, 'idempotency inputs')) as [Buffer, ...Buffer[]];
    const ports = withCrashPoint(
      {
        scorer:
          fraud.provider === 'http' && fraud.serviceUrl
            ? new HttpScorer(http.axios, fraud.serviceUrl, fraud)
            : new SimulatedScorer(),
        cxone: connectCxone({ axios: http.axios, wasNothingSent }, { ...tenant, ...upstream }, log),
        echo: new RequestIdEcho(),
        settling: new SingleFlight(),
        intents: new SqliteIntentLedger(ledger, sessions, cipher, {
          instanceId: randomUUID(),
          isAlone: true, // the lock of the database sees to it
          blindKey: (key) => vault.blind('idempotency key', key),
          ttlMs: config.idempotencyTtlHours * HOUR_MS,
          unwritten: () => attemptLedger.unwritten,
          inputKeys,
        }),
        ledger: attemptLedger,
        sessions: sessionLedger,
        log,
        rules: {
          fraudThreshold: fraud.threshold,
          maxConcurrentSessions,
          createDeadlineMs,
          defaultQueueId: tenant.queueId,
          endsUpstream: tenant.endSession,
          listLagMs: tenant.listLagMs,
        },
      },
      config.crashAt,
    );
    if (!usesSandbox && !fraud.serviceUrl)
      log.warn('FRAUD_PROVIDER is "simulated": it knows nothing of fraud and refuses about a quarter of all devices');

    await sessionLedger.releaseAbandoned();
    const reconciler = teardown.use(
      new Reconciler(
        {
          due: (limit) => sessionLedger.dueForReconciliation(limit),
          isUnderWay: (requestId) => attemptLedger.isUnderWay(requestId),
          settle: (attempt) => settleAttempt(attempt, new Deadline(createDeadlineMs), ports),
          postpone: (attempt) => sessionLedger.postpone(attempt),
        },
        log,
      ),
    );
    reconciler.look();

    const underWay = teardown.use(new UnderWay());
    return {
      services: {
        open: (request, caller) => underWay.run(() => createGuestSession(request, caller, ports)),
        end: (request, caller) => underWay.run(() => endGuestSession(request, caller, ports)),
        erase: (guestId, caller) => underWay.run(() => eraseGuest(guestId, caller, ports)),
        sessions,
        audits: new AuditReader(database, signer),
        events,
        metrics: new MetricsReader(database.prisma),
        deliveries: new DeliveryReader(database),
        webhooks: new WebhookReplays(outbox),
        stream,
      },
      log,
      gate,
      rates,
      creationRates,
      sandbox: { cxone: cxoneSandbox, crm: crmSandbox },
      databasePath: database.path,
      auditKeySet: signer?.keySet ?? null,
      isHealthy: () => health.isHealthy,
      [Symbol.asyncDispose]: () => teardown[Symbol.asyncDispose](),
    };
  } catch (error) {
    await teardown[Symbol.asyncDispose]();
    throw error;
  }
}
