// node examples/crm-listener/listener.mjs [--url http://127.0.0.1:4000] [--file crm-journal.jsonl]
//
// Takes every session event into a journal, once, whatever is killed on the way: the README beside it says how. Where the
// server has API keys, put one with the role CRM or OPS into API_KEY.
import { open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { resumableSessionEvents } from 'cxone-guest-sessions/client';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';

const { values } = parseArgs({
  options: {
    url: { type: 'string', default: 'http://127.0.0.1:4000' },
    file: { type: 'string', default: 'crm-journal.jsonl' },
  },
});
/** More than the longest line. */
const TAIL_BYTES = 65_536;
/** So many lines may wait for the disk. Then the stream waits, too. */
const MAX_WAITING = 500;
const LONGEST_PAUSE_MS = 1_000;

const journal = await open(values.file, 'a+');
const after = await lastCursor();
/** Lines that are not in the journal yet. */
const waiting = [];
let saving;

const client = createClient({
  url: `${values.url.replace(/^http/, 'ws')}/graphql`,
  webSocketImpl: WebSocket,
  connectionParams: process.env.API_KEY ? { authorization: `Bearer ${process.env.API_KEY}` } : {},
  retryAttempts: Number.POSITIVE_INFINITY,
  shouldRetry: () => true,
  retryWait: (retries) => sleep(Math.min(100 * 2 ** retries, LONGEST_PAUSE_MS) * (0.5 + Math.random() / 2)),
});
console.log(after ? `resuming after ${after}` : 'starting with what happens from now on');

try {
  // Where it begins must outlive it, too, even if nothing happens for a while.
  const onProgress = (cursor) => record({ cursor });
  for await (const event of resumableSessionEvents(client, { after, onProgress })) {
    record(event);
    if (waiting.length >= MAX_WAITING) await saving;
  }
} catch (error) {
  console.error(`${error.code}: ${error.message}`);
  process.exitCode = 1;
}

/** The effect of an event is its line. The cursor is in it, so neither is ever there without the other. */
function record(event) {
  waiting.push(`${JSON.stringify(event)}\n`);
  saving ??= save();
}

/** One write and one fsync for all that has come meanwhile. Where that fails, the process ends. */
async function save() {
  while (waiting.length > 0) {
    await journal.appendFile(waiting.splice(0).join(''));
    await journal.datasync();
  }
  saving = undefined;
}

/** The cursor of the last line that is whole. What a kill has left after it is cut off: that event will come again. */
async function lastCursor() {
  const { size } = await journal.stat();
  const tail = Buffer.alloc(Math.min(size, TAIL_BYTES));
  await journal.read(tail, 0, tail.length, size - tail.length);
  const end = tail.lastIndexOf('\n') + 1;
  await journal.truncate(size - tail.length + end);
  const lastLine = tail.toString('utf8', 0, end).trimEnd().split('\n').at(-1);
  return lastLine ? JSON.parse(lastLine).cursor : undefined;
}
