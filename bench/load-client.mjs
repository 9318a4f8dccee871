// The callers of flow (b): the cheapest client there is, since it shares two cores with the server it measures.
import { randomUUID } from 'node:crypto';
import { Pool } from 'undici';
import { closedLoop } from './lib/closed-loop.mjs';
import { passingFingerprints } from './lib/fingerprints.mjs';
import { serveParent } from './lib/helper-child.mjs';

const [origin] = process.argv.slice(2);
const GUEST_ID = '@guest';
const QUERY = `mutation Open($input: CreateGuestSessionInput!) {
  createGuestSession(input: $input) {
    requestId clientToken eventCursor
    session { id sessionId status expiresAt }
    userErrors { code message }
  }
}`;

/** What stands before and after the guest's id, ready to be sent. */
const bodies = passingFingerprints(256).map((deviceFingerprint) => {
  const variables = { input: { guestId: GUEST_ID, deviceFingerprint, crmId: 'crm-1' } };
  return JSON.stringify({ operationName: 'Open', query: QUERY, variables }).split(GUEST_ID);
});
let nextBody = 0;

/** Collects one answer; undici's lowest interface, without streams. */
class Answer {
  #chunks = [];
  #statusCode = 0;

  constructor(resolve, reject) {
    this.resolve = resolve;
    this.reject = reject;
  }

  onRequestStart() {}

  onResponseStart(_controller, statusCode) {
    this.#statusCode = statusCode;
  }

  onResponseData(_controller, chunk) {
    this.#chunks.push(chunk);
  }

  onResponseEnd() {
    const chunks = this.#chunks;
    const text = (chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)).toString();
    const failure = failureOf(this.#statusCode, text);
    if (failure === null) this.resolve();
    else this.reject(failure);
  }

  onResponseError(_controller, error) {
    this.reject(error);
  }
}

/** Null for an answer that opened a session. */
function failureOf(statusCode, text) {
  let payload;
  try {
    payload = JSON.parse(text).data?.createGuestSession;
  } catch {
    // told below, with the text
  }
  if (statusCode === 200 && payload?.session?.sessionId && payload.clientToken && payload.eventCursor) return null;
  return new Error(`status ${statusCode}: ${text.slice(0, 500)}`);
}

const headers = ['content-type', 'application/json', 'accept', 'application/json'];

async function run(load) {
  // New for every run: none of its connections has been idle for so long that the server is about to close it.
  const pool = new Pool(origin, { connections: load.clients, pipelining: 1 });
  try {
    return await closedLoop(load, () => openSession(pool));
  } finally {
    await pool.close();
  }
}

function openSession(pool) {
  const [before, after] = bodies[nextBody++ % bodies.length];
  const body = before + randomUUID() + after;
  return new Promise((resolve, reject) => {
    pool.dispatch({ method: 'POST', path: '/graphql', headers, body }, new Answer(resolve, reject));
  });
}

serveParent({ run });
