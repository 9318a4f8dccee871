// node examples/subscribe.mjs [--url http://127.0.0.1:4000] [--after CURSOR]
//
// Prints every session event as a line of JSON, and goes on where it was whenever the server comes back. Where the server has
// API keys, put one with the role CRM or OPS into API_KEY.
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';

const { values } = parseArgs({
  options: { url: { type: 'string', default: 'http://127.0.0.1:4000' }, after: { type: 'string' } },
});
const RETRY_MS = 500;
const FORBIDDEN = 4403;
const query = `subscription ($after: String) {
  sessionEvents(after: $after) { cursor type occurredAt requestId guestId crmId sessionId reason }
}`;

const client = createClient({
  url: `${values.url.replace(/^http/, 'ws')}/graphql`,
  webSocketImpl: WebSocket,
  connectionParams: process.env.API_KEY ? { authorization: `Bearer ${process.env.API_KEY}` } : {},
  // Left to itself the client would subscribe again with the cursor that it began with.
  retryAttempts: 0,
});

// A real consumer keeps this with its data, in the transaction that handles the event. Without one the stream begins now.
let after = values.after;

for (;;) {
  try {
    for await (const { data, errors } of client.iterate({ query, variables: { after } })) {
      if (errors) throw errors;
      console.log(JSON.stringify(data.sessionEvents));
      after = data.sessionEvents.cursor;
    }
    console.error('the server is going away');
  } catch (error) {
    // What the server has against the request does not go away by asking again.
    if (Array.isArray(error) || error.code === FORBIDDEN) {
      console.error(error.code === FORBIDDEN ? 'the server wants a valid key in API_KEY' : JSON.stringify(error));
      process.exit(1);
    }
    console.error(`no connection (${error.code ?? error.message ?? error})`);
  }
  await sleep(RETRY_MS);
}
