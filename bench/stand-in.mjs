// CXone and the CRM in one process, as cheap as node:http allows: what is measured is who calls, not who answers.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { serveParent } from './lib/helper-child.mjs';

/** @typedef {{ token: number, list: number, create: number, webhook: number }} Counts */

const JSON_TYPE = 'application/json; charset=utf-8';
const GUEST_TOKEN = 'ctk_'.padEnd(68, '0123456789abcdef');
const EXPIRES_AT = new Date(Date.now() + 86_400_000).toISOString();
// Ids stay unique when several runs share a database.
const idPrefix = `cxs_${randomUUID()}`;

/** @type {Counts} */
const counts = { token: 0, list: 0, create: 0, webhook: 0 };
/** How long CXone takes to answer; the CRM always answers at once. */
let delayMs = 0;

const TOKEN = JSON.stringify({
  access_token: 'bench-bearer',
  token_type: 'Bearer',
  expires_in: 3600,
  scope: 'messaging:read messaging:write',
});
const NO_SESSIONS = '{"items":[]}';
const TAKEN = '{"ok":true}';

const server = createServer((request, response) => {
  // The answer waits for the whole body, as a real one does, but does not look at it.
  request.resume();
  request.once('end', () => {
    const call = callOf(request.method, request.url ?? '');
    if (call === null) return send(response, 404, '{}');
    counts[call] += 1;
    const [status, body] = answerOf(call);
    if (delayMs === 0 || call === 'webhook') send(response, status, body);
    else setTimeout(send, delayMs, response, status, body);
  });
});
// A connection that ends just when a client writes into it would look like a fault of that client.
server.keepAliveTimeout = 300_000;

/** @returns {keyof Counts | null} */
function callOf(method, url) {
  if (method === 'POST' && url === '/webhook') return 'webhook';
  if (method === 'POST' && url === '/oauth/token') return 'token';
  if (!url.startsWith('/api/v1/messaging/sessions')) return null;
  return method === 'POST' ? 'create' : 'list';
}

/**
 * @param {keyof Counts} call
 * @returns {[status: number, body: string]}
 */
function answerOf(call) {
  if (call === 'list') return [200, NO_SESSIONS];
  if (call === 'webhook') return [200, TAKEN];
  if (call === 'token') return [200, TOKEN];
  const sessionId = `${idPrefix}-${counts.create}`;
  return [201, `{"sessionId":"${sessionId}","token":"${GUEST_TOKEN}","expiresAt":"${EXPIRES_AT}","status":"active"}`];
}

function send(response, status, body) {
  response.writeHead(status, { 'content-type': JSON_TYPE, 'content-length': body.length });
  response.end(body);
}

server.listen(0, '127.0.0.1', () => {
  serveParent(
    {
      counts: () => counts,
      delay: (milliseconds) => {
        delayMs = milliseconds;
      },
    },
    { origin: `http://127.0.0.1:${server.address().port}` },
  );
});
