// node examples/subscribe.mjs [--url http://127.0.0.1:4000] [--after CURSOR]
//
// Prints every session event as a line of JSON, and goes on where it was whenever the server comes back. Where the server has
// API keys, put one with the role CRM or OPS into API_KEY. It imports the built package: `npm run build` comes first.
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { resumableSessionEvents } from 'cxone-guest-sessions/client';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';

const { values } = parseArgs({
  options: { url: { type: 'string', default: 'http://127.0.0.1:4000' }, after: { type: 'string' } },
});
const RETRY_MS = 500;
const FORBIDDEN = 4403;

const client = createClient({
  url: `${values.url.replace(/^http/, 'ws')}/graphql`,
  webSocketImpl: WebSocket,
  connectionParams: process.env.API_KEY ? { authorization: `Bearer ${process.env.API_KEY}` } : {},
  retryAttempts: Number.POSITIVE_INFINITY,
  shouldRetry: () => true,
  retryWait: () => sleep(RETRY_MS),
});
client.on('connecting', (isRetry) => {
  if (isRetry) console.error('no connection: trying again');
});

try {
  // Without a cursor the stream begins now.
  for await (const event of resumableSessionEvents(client, { after: values.after })) console.log(JSON.stringify(event));
} catch ({ code, message }) {
  console.error(code === FORBIDDEN ? 'the server wants a valid key in API_KEY' : `${code}: ${message}`);
  process.exitCode = 1;
}
