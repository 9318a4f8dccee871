import type { Network } from '../support/network.js';

const BOOKS = /* GraphQL */ `
  query Books($guestId: String!) {
    sessions(first: 100, filter: { guestId: $guestId }) {
      nodes { id requestId sessionId status attempts fraudScore failureCode crmSync expiresAt endedAt durationMs }
    }
    audits(first: 100, filter: { guestId: $guestId }) {
      nodes { sequence requestId kind status reason errorCode guestId sessionId actor durationMs fraudScore attempts capacityCheck }
    }
    events(first: 100, guestId: $guestId) {
      nodes { cursor type requestId guestId crmId sessionId channel status reason expiresAt }
    }
  }
`;

const ALL_AUDITS = /* GraphQL */ `
  { audits(first: 100) { nodes { requestId kind status errorCode guestId } } verifyAuditTrail { ok checked } }
`;

// biome-ignore lint/suspicious/noExplicitAny: tests read rows of many shapes, and say what they expect of them
type Row = any;

/** What our books say of a guest: sessions and audits newest first, events oldest first. */
export async function booksOf(
  network: Pick<Network, 'graphql'>,
  guestId: string,
): Promise<{ sessions: Row[]; audits: Row[]; events: Row[] }> {
  const { data, errors } = await network.graphql(BOOKS, { guestId });
  if (errors) throw new Error(JSON.stringify(errors));
  return { sessions: data.sessions.nodes, audits: data.audits.nodes, events: data.events.nodes };
}

/** The whole audit trail, and whether it verifies. */
export async function auditTrail(network: Pick<Network, 'graphql'>): Promise<{ audits: Row[]; verification: Row }> {
  const { data, errors } = await network.graphql(ALL_AUDITS);
  if (errors) throw new Error(JSON.stringify(errors));
  return { audits: data.audits.nodes, verification: data.verifyAuditTrail };
}
