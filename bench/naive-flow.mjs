// Flow (a): what a module does that opens a session and tells the CRM with axios as it comes out of the box, and keeps nothing.
import { randomUUID } from 'node:crypto';
import axios from 'axios';
import { closedLoop } from './lib/closed-loop.mjs';
import { passingFingerprints } from './lib/fingerprints.mjs';
import { serveParent } from './lib/helper-child.mjs';

const [origin] = process.argv.slice(2);
const SESSIONS = `${origin}/api/v1/messaging/sessions`;
const MAX_SESSIONS = 5;
const fingerprints = passingFingerprints(256);
let nextFingerprint = 0;

/** @type {Promise<string> | null} */
let token = null;

async function fetchToken() {
  const { data } = await axios.post(
    `${origin}/oauth/token`,
    new URLSearchParams({ grant_type: 'client_credentials', client_id: 'bench', client_secret: 'bench-secret' }),
  );
  return data.access_token;
}

async function openSession() {
  token ??= fetchToken();
  const headers = { Authorization: `Bearer ${await token}` };
  const guestId = randomUUID();

  const listed = await axios.get(SESSIONS, { params: { guestId, status: 'active' }, headers });
  if (listed.data.items.length >= MAX_SESSIONS) throw new Error('the guest is at the limit');

  const created = await axios.post(SESSIONS, payloadFor(guestId), { headers });
  const { sessionId, expiresAt } = created.data;
  if (!sessionId) throw new Error('the answer has no sessionId');

  const timestamp = new Date().toISOString();
  await axios.post(`${origin}/webhook`, {
    event: 'session.initiated',
    timestamp,
    payload: { sessionId, guestId, crmId: 'crm-1', tokenExpiry: expiresAt, syncedAt: timestamp },
  });
}

/** The same bytes as our server sends, but for the request id, which this flow does not have. */
function payloadFor(guestId) {
  return {
    guestId,
    channel: 'webchat',
    routing: {
      queueId: 'bench-queue',
      priority: 'normal',
      attributes: {
        sourceChannel: 'automated_gateway',
        crmAccountId: 'crm-1',
        deviceFingerprint: fingerprints[nextFingerprint++ % fingerprints.length],
        timestamp: new Date().toISOString(),
      },
    },
    metadata: { sessionType: 'guest_initiated', complianceFlag: 'recorded', languagePreference: 'en-US' },
  };
}

serveParent({ run: (load) => closedLoop(load, openSession) });
