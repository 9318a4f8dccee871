import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Admitted, Gate } from '../../src/access/gate.js';
import type { CountedRefusal } from '../../src/access/refusals.js';
import type { ApiKey } from '../../src/access-settings.js';
import { UNKNOWN_CONNECTION } from '../../src/guest-session/believed-connection.js';
import { eventually } from '../support/eventually.js';
import { NO_KEYS } from './gate-settings.js';

const keyOf = (name: string, rest: Partial<ApiKey> = {}): ApiKey => ({
  name,
  role: 'CRM',
  sha256: createHash('sha256').update(name).digest('hex'),
  ...rest,
});
const SOURCE = '203.0.113.0/24#000000000001';

/** A gate, and what it writes down. */
function start(...fixed: ApiKey[]) {
  const written: CountedRefusal[] = [];
  const warned: string[] = [];
  const gate = new Gate({
    ...NO_KEYS,
    fixed,
    write: async (refusals) => void written.push(...refusals),
    log: { info: () => undefined, warn: (message) => void warned.push(message), error: () => undefined },
  });
  onTestFinished(() => gate[Symbol.asyncDispose]());
  const admit = (key: string, origin?: string) =>
    gate.admit(`Bearer ${key}`, {
      sourceAddress: SOURCE,
      client: null,
      origin,
      isSameOrigin: origin === undefined,
      connection: UNKNOWN_CONNECTION,
    });
  const admitted = async (key: string): Promise<Admitted> => {
    const { caller } = await admit(key);
    if (!caller) throw new Error(`${key} was not let in`);
    return caller;
  };
  return { gate, written, warned, admit, admitted };
}

const inMs = (ms: number) => ({ expiresAt: new Date(Date.now() + ms) });
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe('whoever stays', () => {
  it('is sent away once when its key expires, which is written down with its name; nobody else is', async () => {
    const { gate, written, admitted } = start(keyOf('brief', inMs(300)), keyOf('long', inMs(60_000)), keyOf('ever'));
    const away: string[] = [];
    for (const name of ['brief', 'brief', 'long', 'ever']) gate.hold(await admitted(name), () => away.push(name));
    await eventually(() => away.length > 0);
    await pause(600); // twice as long as it takes to look again: it is not to happen

    expect(away).toEqual(['brief', 'brief']);
    const actor = { name: 'brief', role: 'CRM', sourceAddress: SOURCE };
    expect(written).toEqual([{ actor, reason: 'the key is expired', attempts: 1 }]); // the second is counted
  });

  it('is not sent away when it has gone by itself', async () => {
    const { gate, admitted } = start(keyOf('brief', inMs(200)));
    const away: string[] = [];
    gate.hold(await admitted('brief'), () => away.push('gone'))();
    gate.hold(await admitted('brief'), () => away.push('still there'));
    await eventually(() => away.length > 0);

    expect(away).toEqual(['still there']);
  });

  it('may stay where there are no keys', async () => {
    const { gate, admitted, written } = start();
    const away: string[] = [];
    const release = gate.hold(await admitted('anything'), () => away.push('local'));
    await pause(300); // nothing to wait for: it is not to happen
    release();

    expect([gate.asksForKeys, away, written]).toEqual([false, [], []]);
  });
});

describe('whoever is turned away', () => {
  it('is told apart: who has no key that is good, and who has one of other pages', async () => {
    const { admit } = start(keyOf('widget', { origins: ['https://shop.example.com'] }), keyOf('old', inMs(-1)));

    expect(await admit('nonsense')).toEqual({ caller: null, isForeign: false });
    expect(await admit('old')).toEqual({ caller: null, isForeign: false });
    expect(await admit('widget', 'https://evil.example.com')).toEqual({ caller: null, isForeign: true });
    expect((await admit('widget', 'https://shop.example.com')).caller?.name).toBe('widget');
  });

  it('with a key that has expired is not told whether its page was right', async () => {
    const { admit, written } = start(keyOf('widget', { origins: ['https://shop.example.com'], ...inMs(-1) }));

    expect(await admit('widget', 'https://evil.example.com')).toEqual({ caller: null, isForeign: false });
    expect(written.map(({ reason }) => reason)).toEqual(['the key is expired']);
  });
});

it('whoever asks too often is written down with the setting, once for all that follows', async () => {
  const { gate, written, admitted } = start(keyOf('busy'));
  const busy = await admitted('busy');
  for (let i = 0; i < 3; i += 1) gate.slowDown(busy, 'RATE_PER_KEY');
  gate.slowDown(busy, 'RATE_PER_ADDRESS');

  const actor = { name: 'busy', role: 'CRM', sourceAddress: SOURCE };
  expect(written).toEqual([
    { actor, reason: 'more in a minute than RATE_PER_KEY', attempts: 1 },
    { actor, reason: 'more in a minute than RATE_PER_ADDRESS', attempts: 1 },
  ]);
});

it('a proxy that no setting names is warned of, once', () => {
  const { gate, warned } = start(keyOf('portal'));
  const request = (headers: IncomingMessage['headers']) =>
    ({ socket: { remoteAddress: '10.0.0.1' }, headers }) as unknown as IncomingMessage;

  gate.arrivalOf(request({}));
  expect(warned).toEqual([]);
  for (const client of ['203.0.113.1', '203.0.113.2']) gate.arrivalOf(request({ 'x-forwarded-for': client }));
  expect(warned).toEqual([expect.stringContaining('set TRUST_PROXY')]);
});
