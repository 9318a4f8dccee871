import DataLoader from 'dataloader';
import type { Identity } from '../access/api-keys.js';
import type { CreationRequest } from '../access/creation-rates.js';
import type { WebhookReplays } from '../crm/replay-webhooks.js';
import { type GuestConnection, UNKNOWN_CONNECTION } from '../guest-session/believed-connection.js';
import type { EndConclusion } from '../guest-session/end-guest-session.js';
import type { EraseConclusion } from '../guest-session/erase-guest.js';
import type { Conclusion } from '../guest-session/ledger-ports.js';
import type {
  Caller,
  CreateGuestSessionRequest,
  EndGuestSessionRequest,
  GuestSessionRecord,
} from '../guest-session/ports.js';
import type { SessionEventRecord } from '../guest-session/session-event.js';
import type { SessionEventStream } from '../lifecycle/session-event-stream.js';
import type { AuditRecord } from '../store/audit-chain.js';
import type { AuditReader } from '../store/audit-reader.js';
import type { DeliveryReader, DeliveryTryRecord } from '../store/delivery-reader.js';
import type { EventReader } from '../store/event-reader.js';
import type { MetricsReader } from '../store/metrics-reader.js';
import type { SessionReader } from '../store/session-reader.js';

/** What the resolvers call. */
export interface Services {
  /** Runs the pipeline. */
  open(request: CreateGuestSessionRequest, caller: Caller): Promise<Conclusion>;
  /** Ends a session. */
  end(request: EndGuestSessionRequest, caller: Caller): Promise<EndConclusion>;
  /** Erases a guest. */
  erase(guestId: string, caller: Caller): Promise<EraseConclusion>;
  readonly sessions: SessionReader;
  readonly audits: AuditReader;
  readonly events: EventReader;
  readonly metrics: MetricsReader;
  readonly deliveries: DeliveryReader;
  readonly webhooks: WebhookReplays;
  readonly stream: SessionEventStream;
}

/** A caller whose key was checked. */
export type KnownCaller = Caller & Identity;

/** Rows that belong to other rows, read together for all that asks at once. Nothing is remembered: a subscription lives long. */
interface Loaders {
  readonly session: DataLoader<string, GuestSessionRecord | null>;
  readonly audits: DataLoader<string, AuditRecord[]>;
  readonly events: DataLoader<string, SessionEventRecord[]>;
  readonly tries: DataLoader<string, DeliveryTryRecord[]>;
}

/** As much of a session that is asked for as rates count. */
type AskedSession = Pick<CreationRequest, 'fingerprint' | 'idempotencyKey'>;

/** What only a request over HTTP has. */
interface HttpRequest {
  /** The HTTP header `Idempotency-Key`; null where there is none. */
  readonly idempotencyKeyHeader: string | null;
  /** Opens a session, unless too many are asked for. @returns what has become of it; or in how many seconds to ask again */
  limitCreation(asked: AskedSession, open: () => Promise<Conclusion>): Promise<Conclusion | number>;
  /** What is known of the connection that the request came by. */
  readonly connection: GuestConnection;
}

export interface GraphqlContext extends HttpRequest {
  readonly caller: KnownCaller;
  readonly services: Services;
  readonly loaders: Loaders;
}

const BATCH_ONLY = { cache: false } as const;

/** Subscriptions open no sessions. */
const OVER_A_SOCKET: HttpRequest = {
  idempotencyKeyHeader: null,
  limitCreation: (_asked, open) => open(),
  connection: UNKNOWN_CONNECTION,
};

/** One context for a request, or for a subscription. */
export const createContext = (
  caller: KnownCaller,
  services: Services,
  { idempotencyKeyHeader, limitCreation, connection }: HttpRequest = OVER_A_SOCKET,
): GraphqlContext => ({
  caller,
  idempotencyKeyHeader,
  limitCreation,
  connection,
  services,
  loaders: {
    session: new DataLoader(async (ids) => {
      const sessions = new Map((await services.sessions.byIds(ids)).map((session) => [session.id, session]));
      return ids.map((id) => sessions.get(id) ?? null);
    }, BATCH_ONLY),
    audits: new DataLoader(async (ids) => groupByRequest(ids, await services.audits.byRequestIds(ids)), BATCH_ONLY),
    events: new DataLoader(async (ids) => groupByRequest(ids, await services.events.byRequestIds(ids)), BATCH_ONLY),
    tries: new DataLoader(
      async (ids) => groupBy(ids, await services.deliveries.triesOf(ids), ({ deliveryId }) => deliveryId),
      BATCH_ONLY,
    ),
  },
});

const groupByRequest = <Row extends { readonly requestId: string }>(ids: readonly string[], rows: Row[]): Row[][] =>
  groupBy(ids, rows, ({ requestId }) => requestId);

function groupBy<Row>(ids: readonly string[], rows: readonly Row[], ownerOf: (row: Row) => string): Row[][] {
  const groups = new Map<string, Row[]>(ids.map((id) => [id, []]));
  for (const row of rows) groups.get(ownerOf(row))?.push(row);
  return ids.map((id) => groups.get(id) ?? []);
}
