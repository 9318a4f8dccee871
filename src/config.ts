import { z } from 'zod';
import { type AccessConfig, accessConfig, accessSettings, asksForKeys } from './access-settings.js';
import { StartupError } from './errors.js';
import type { WebhookEventType } from './guest-session/session-event.js';
import { Secrets } from './secrets.js';
import { contradictions } from './setting-contradictions.js';
import {
  baseUrl,
  CRASH_POINTS,
  days,
  encryptionKey,
  encryptionKeys,
  hours,
  httpUrl,
  type RequestLimits,
  requestLimits,
  retrySchedule,
  signingKey,
  webhookEvents,
  webhookSecrets,
  whole,
} from './setting-formats.js';
import { type TransportConfig, transportConfig, transportSettings } from './transport-settings.js';

export type CrashPoint = (typeof CRASH_POINTS)[number];

/** Every setting that may be shown; see README for what each means. */
export interface Config {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly databaseUrl: string;
  readonly cxone: {
    /** Null: the embedded sandbox. */
    readonly baseUrl: string | null;
    readonly clientId: string;
    readonly queueId: string;
    readonly timeoutMs: number;
    readonly maxAttempts: number;
    /** First backoff is about twice this. */
    readonly retryBaseMs: number;
    /** Failures in a row after which nothing is sent for a while. */
    readonly breakerFailures: number;
    readonly breakerOpenMs: number;
    /** Calls under way at once; ten times as many may wait. */
    readonly maxConcurrency: number;
    /** Whether sessions are ended at CXone, or here alone. */
    readonly endSession: boolean;
    /** So far CXone's list may be behind CXone's own answers. */
    readonly listLagMs: number;
  };
  readonly crm: {
    /** Null: in sandbox mode the embedded receiver, else no webhooks. */
    readonly webhookUrl: string | null;
    /** What it is told of. */
    readonly events: readonly WebhookEventType[];
    readonly timeoutMs: number;
    readonly concurrency: number;
    /** Seconds to wait after the first failed try, the second, …; after the last the delivery is dead. */
    readonly retryScheduleSeconds: readonly number[];
    /** How long it may take nothing until nothing is sent any more. */
    readonly disableAfterHours: number;
  };
  readonly fraud: {
    readonly threshold: number;
    readonly provider: 'simulated' | 'http';
    readonly serviceUrl: string | null;
    readonly timeoutMs: number;
    readonly failMode: 'open' | 'closed';
  };
  readonly maxConcurrentSessions: number;
  readonly createDeadlineMs: number;
  /** How long events are kept. */
  readonly eventRetentionDays: number;
  /** How long sessions that are over are kept, and webhooks that are concluded. */
  readonly retentionDays: number;
  /** What one GraphQL request may ask for. */
  readonly limits: RequestLimits;
  /** How much is taken at all. */
  readonly transport: TransportConfig;
  readonly stream: {
    /** How many new events may wait for a subscriber whose socket takes nothing. */
    readonly maxBufferedEvents: number;
  };
  /** Where checkpoints of the audit trail are appended to, beside the database; null: nowhere. */
  readonly auditCheckpointFile: string | null;
  /** How long an idempotency key is remembered. */
  readonly idempotencyTtlHours: number;
  /** For tests: where the process dies. */
  readonly crashAt: CrashPoint | null;
  /** Who may come in. */
  readonly access: AccessConfig;
  /** Whether `/playground` is served. */
  readonly playground: boolean;
  readonly logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';
}

export interface Settings {
  readonly config: Config;
  readonly secrets: Secrets;
}

const environment = z.object({
  HOST: z.string().default('127.0.0.1'),
  PORT: whole(0, 65_535).default(4000),
  DATABASE_URL: z
    .string()
    .regex(/^(file:.+|postgres(ql)?:\/\/.+)$/, 'must begin with file: or postgresql://')
    .default('file:./data/guest-sessions.db'),
  CXONE_BASE_URL: baseUrl.optional(),
  CXONE_CLIENT_ID: z.string().optional(),
  CXONE_CLIENT_SECRET: z.string().optional(),
  CXONE_QUEUE_ID: z.string().optional(),
  CXONE_TIMEOUT_MS: whole(1, 120_000).default(5000),
  CXONE_MAX_ATTEMPTS: whole(1, 10).default(3),
  CXONE_RETRY_BASE_MS: whole(1, 60_000).default(1000),
  CXONE_BREAKER_FAILURES: whole(1, 1000).default(10),
  CXONE_BREAKER_OPEN_MS: whole(1, 600_000).default(5000),
  CXONE_MAX_CONCURRENCY: whole(1, 1000).default(100),
  CXONE_END_SESSION: z.enum(['on', 'off']).default('on'),
  CXONE_LIST_LAG_MS: whole(0, 600_000).default(10_000),
  CREATE_DEADLINE_MS: whole(1, 300_000).default(15_000),
  CRM_WEBHOOK_URL: httpUrl.optional(),
  CRM_WEBHOOK_SECRET: webhookSecrets.optional(),
  CRM_TIMEOUT_MS: whole(1, 20_000).default(5000),
  CRM_CONCURRENCY: whole(1, 256).default(8),
  CRM_WEBHOOK_EVENTS: webhookEvents.default(['SESSION_INITIATED']),
  CRM_RETRY_SCHEDULE: retrySchedule.default([5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]),
  CRM_DISABLE_AFTER_HOURS: hours.default(120),
  FRAUD_THRESHOLD: whole(0, 100).default(75),
  FRAUD_PROVIDER: z.enum(['simulated', 'http']).default('simulated'),
  FRAUD_SERVICE_URL: httpUrl.optional(),
  FRAUD_TIMEOUT_MS: whole(1, 60_000).default(1000),
  FRAUD_FAIL_MODE: z.enum(['open', 'closed']).default('closed'),
  MAX_CONCURRENT_SESSIONS: whole(1, 1000).default(5),
  EVENT_RETENTION_DAYS: days.default(30),
  RETENTION_DAYS: days.default(395),
  IDEMPOTENCY_TTL_HOURS: hours.default(24),
  MAX_QUERY_TOKENS: whole(1, 100_000).default(1000),
  MAX_QUERY_OPERATIONS: whole(1, 100).default(1),
  MAX_QUERY_FRAGMENTS: whole(0, 1000).default(20),
  MAX_QUERY_DEPTH: whole(1, 100).default(10),
  MAX_QUERY_ALIASES: whole(0, 1000).default(15),
  MAX_QUERY_DIRECTIVES: whole(0, 1000).default(8),
  MAX_QUERY_COST: whole(1, 1_000_000).default(5000),
  STREAM_MAX_BUFFERED: whole(1, 1_000_000).default(1000),
  ...transportSettings,
  ...accessSettings,
  ENCRYPTION_KEY: encryptionKey.optional(),
  ENCRYPTION_KEYS_OLD: encryptionKeys.default([]),
  AUDIT_SIGNING_KEY: signingKey.optional(),
  AUDIT_CHECKPOINT_FILE: z.string().optional(),
  PLAYGROUND: z.enum(['on', 'off']).optional(),
  CRASH_AT: z.enum(CRASH_POINTS).optional(),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
});

/**
 * Reads every setting from the environment and checks it.
 * @throws StartupError that lists all that is wrong, without the values
 */
export function loadSettings(env: NodeJS.ProcessEnv = process.env): Settings {
  // An empty variable is what a shell or a compose file leaves of an unset one.
  const given = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value.trim() !== ''),
  );
  const parsed = environment.safeParse(given);
  const problems = parsed.success ? [] : parsed.error.issues.map(describeIssue);
  problems.push(...contradictions(given, parsed.data));
  if (!parsed.success || problems.length > 0) {
    throw new StartupError(`The settings are not valid:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
  }
  return toSettings(parsed.data);
}

function describeIssue(issue: z.core.$ZodIssue): string {
  const [name, ...inside] = issue.path.map(String);
  const place = inside.length > 0 ? ` (at ${inside.join('.')})` : '';
  return `${name}${place}: ${issue.message}`;
}

function toSettings(env: z.output<typeof environment>): Settings {
  const usesSandbox = env.CXONE_BASE_URL === undefined;
  const access = accessConfig(env);
  return {
    config: {
      host: env.HOST,
      port: env.PORT,
      databaseUrl: env.DATABASE_URL,
      cxone: {
        baseUrl: env.CXONE_BASE_URL ?? null,
        clientId: usesSandbox ? SANDBOX_CLIENT_ID : (env.CXONE_CLIENT_ID ?? ''),
        queueId: env.CXONE_QUEUE_ID ?? SANDBOX_QUEUE_ID,
        timeoutMs: env.CXONE_TIMEOUT_MS,
        maxAttempts: env.CXONE_MAX_ATTEMPTS,
        retryBaseMs: env.CXONE_RETRY_BASE_MS,
        breakerFailures: env.CXONE_BREAKER_FAILURES,
        breakerOpenMs: env.CXONE_BREAKER_OPEN_MS,
        maxConcurrency: env.CXONE_MAX_CONCURRENCY,
        endSession: env.CXONE_END_SESSION === 'on',
        listLagMs: env.CXONE_LIST_LAG_MS,
      },
      crm: {
        webhookUrl: env.CRM_WEBHOOK_URL ?? null,
        timeoutMs: env.CRM_TIMEOUT_MS,
        concurrency: env.CRM_CONCURRENCY,
        events: env.CRM_WEBHOOK_EVENTS,
        retryScheduleSeconds: env.CRM_RETRY_SCHEDULE,
        disableAfterHours: env.CRM_DISABLE_AFTER_HOURS,
      },
      fraud: {
        threshold: env.FRAUD_THRESHOLD,
        provider: env.FRAUD_PROVIDER,
        serviceUrl: env.FRAUD_SERVICE_URL ?? null,
        timeoutMs: env.FRAUD_TIMEOUT_MS,
        failMode: env.FRAUD_FAIL_MODE,
      },
      maxConcurrentSessions: env.MAX_CONCURRENT_SESSIONS,
      createDeadlineMs: env.CREATE_DEADLINE_MS,
      eventRetentionDays: env.EVENT_RETENTION_DAYS,
      retentionDays: env.RETENTION_DAYS,
      limits: requestLimits(env),
      transport: transportConfig(env),
      stream: { maxBufferedEvents: env.STREAM_MAX_BUFFERED },
      auditCheckpointFile: env.AUDIT_CHECKPOINT_FILE ?? null,
      idempotencyTtlHours: env.IDEMPOTENCY_TTL_HOURS,
      crashAt: env.CRASH_AT ?? null,
      access,
      playground: (env.PLAYGROUND ?? (asksForKeys(access) ? 'off' : 'on')) === 'on',
      logLevel: env.LOG_LEVEL,
    },
    secrets: new Secrets({
      cxoneClientSecret: usesSandbox ? SANDBOX_CLIENT_SECRET : (env.CXONE_CLIENT_SECRET ?? ''),
      crmWebhookSecrets: env.CRM_WEBHOOK_SECRET ?? [],
      encryptionKey: env.ENCRYPTION_KEY ?? null,
      encryptionKeysOld: env.ENCRYPTION_KEYS_OLD,
      auditSigningKey: env.AUDIT_SIGNING_KEY ?? null,
    }),
  };
}

// What the embedded sandbox accepts; it is reached from this process alone.
const SANDBOX_CLIENT_ID = 'sandbox-client';
const SANDBOX_CLIENT_SECRET = 'sandbox-secret';
const SANDBOX_QUEUE_ID = 'queue-web-guests';
