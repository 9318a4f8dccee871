import { describe, expect, it, onTestFinished } from 'vitest';
import { CreationRates, type CreationRequest } from '../../src/access/creation-rates.js';
import type { Admitted } from '../../src/access/gate.js';
import type { RateLimits } from '../../src/access-settings.js';
import { AttemptError, type ErrorCode, InternalError } from '../../src/errors.js';
import type { Conclusion } from '../../src/guest-session/ledger-ports.js';
import type { Outcome } from '../../src/guest-session/ports.js';
import { caller, HERE, MANY, THERE } from './rates.js';

const GUEST = caller('GUEST');
const BACKEND = caller('BACKEND');
/** Whole seconds, up to a minute. */
const WAIT = expect.toSatisfy((seconds) => Number.isInteger(seconds) && seconds >= 1 && seconds <= 60);

const concluded = (outcome: Outcome, replayed = false): Conclusion => ({
  requestId: 'r',
  session: null,
  eventSequence: null,
  outcome,
  replayed,
});
const failed = (error: AttemptError | InternalError) =>
  concluded({ status: 'FAILED', error, stage: 'VALIDATE' } satisfies Outcome);
/** Something was tried. */
const TRIED = failed(new AttemptError('CXONE_UNAVAILABLE'));
/** An answer is given again. */
const AGAIN = { ...TRIED, replayed: true };

function start(limits: Partial<RateLimits> | null) {
  const told: [string, string][] = [];
  const onSlowDown = ({ name }: Admitted, setting: string) => void told.push([name, setting]);
  const rates = new CreationRates({ limits: limits && { ...MANY, ...limits }, onSlowDown });
  onTestFinished(() => rates[Symbol.dispose]());
  let devices = 0;
  /** Asks for a session, with a device of its own if nothing else is said; what becomes of it, or the seconds to wait. */
  const ask = (given: Partial<CreationRequest>, conclusion: Conclusion | Promise<Conclusion> = TRIED) => {
    const request = { caller: GUEST, client: HERE, fingerprint: `device ${devices++}`, idempotencyKey: null, ...given };
    return rates.limit(request, async () => conclusion);
  };
  /** Asks so often; the seconds to wait, or null where it was let through. */
  async function times(count: number, given: Partial<CreationRequest>, conclusion?: Conclusion) {
    const waits: (number | null)[] = [];
    for (let i = 0; i < count; i += 1) {
      const answer = await ask(given, conclusion);
      waits.push(typeof answer === 'number' ? answer : null);
    }
    return waits;
  }
  return { ask, times, told };
}

describe('sessions that are asked for', () => {
  it('are counted by address with a GUEST key, and not with another', async () => {
    const { times, told } = start({ createPerAddress: 2 });

    expect(await times(3, {})).toEqual([null, null, WAIT]);
    expect(await times(1, { client: THERE })).toEqual([null]);
    expect(await times(3, { caller: BACKEND })).toEqual([null, null, null]);
    expect(told).toEqual([['the GUEST key', 'CREATE_RATE_PER_ADDRESS']]);
  });

  it('are counted by device, for all guests together, but not where the address is refused', async () => {
    const { times, told } = start({ createPerAddress: 1, createPerFingerprint: 2 });
    const fingerprint = 'one';

    expect(await times(3, { fingerprint })).toEqual([null, WAIT, WAIT]);
    expect(await times(1, { caller: caller('GUEST', 'jwt:alice'), client: THERE, fingerprint })).toEqual([null]);
    expect(await times(1, { client: '203.0.113.9', fingerprint })).toEqual([WAIT]);
    expect(await times(1, { client: '203.0.113.9', fingerprint: 'one ' })).toEqual([null]); // it was not counted there
    expect(told.slice(2)).toEqual([['the GUEST key', 'CREATE_RATE_PER_FINGERPRINT']]);
  });

  it('are counted by device for each other caller apart: a guest that knows one cannot use it up for a back end', async () => {
    const { times, told } = start({ createPerFingerprint: 2 });
    const fingerprint = 'one';
    await times(5, { fingerprint });

    expect(await times(3, { caller: BACKEND, fingerprint })).toEqual([null, null, WAIT]);
    expect(await times(2, { caller: caller('BACKEND', 'another'), fingerprint })).toEqual([null, null]);
    expect(told.at(-1)).toEqual(['the BACKEND key', 'CREATE_RATE_PER_FINGERPRINT']);
  });

  it.each(['', 'x'.repeat(513)])('are left to the pipeline where the fingerprint is none (%#)', async (fingerprint) => {
    const { times } = start({ createPerFingerprint: 1 });

    expect(await times(3, { caller: caller('OPS'), fingerprint })).toEqual([null, null, null]);
  });

  it('are counted also where they fail, whatever it is, and where we do', async () => {
    const { ask, times } = start({ createPerAddress: 3 });
    await ask({}, failed(new InternalError('r', { cause: null })));
    await expect(ask({}, Promise.reject(new Error('broken')))).rejects.toThrow('broken');

    expect(await times(2, {})).toEqual([null, WAIT]);
  });

  it('are not limited where nothing is', async () => {
    const { times, told } = start(null);

    expect(new Set(await times(500, { fingerprint: 'one' }))).toEqual(new Set([null]));
    expect(told).toEqual([]);
  });
});

describe('what opens no session', () => {
  it.each<[string, Conclusion]>([
    ['an answer that is given again', AGAIN],
    ...(['INVALID_INPUT', 'IDEMPOTENCY_CONFLICT', 'IDEMPOTENCY_IN_FLIGHT'] satisfies ErrorCode[]).map(
      (code): [string, Conclusion] => [code, failed(new AttemptError(code))],
    ),
  ])('is not counted as one, up to ten times as much: %s', async (_what, conclusion) => {
    const { times, told } = start({ createPerAddress: 2 });
    expect(await times(18, {}, conclusion)).toEqual(Array(18).fill(null));
    expect(await times(2, {})).toEqual([null, null]);

    expect(await times(1, {}, conclusion)).toEqual([WAIT]);
    expect(told).toEqual([['the GUEST key', 'CREATE_RATE_PER_ADDRESS']]);
  });

  it('is bound by device likewise', async () => {
    const { times } = start({ createPerFingerprint: 2 });

    expect(await times(21, { caller: BACKEND, fingerprint: 'one' }, AGAIN)).toEqual([...Array(20).fill(null), WAIT]);
  });
});

describe('sends of one intent that are under way together', () => {
  const intent = { fingerprint: 'one', idempotencyKey: 'k' };

  it('take what one takes', async () => {
    const { ask, times } = start({ createPerAddress: 3, createPerFingerprint: 3 });
    const answers = [TRIED, AGAIN, AGAIN, AGAIN, AGAIN, AGAIN];

    expect(await Promise.all(answers.map((conclusion) => ask(intent, conclusion)))).toEqual(answers);
    expect(await times(3, {})).toEqual([null, null, WAIT]);
  });

  it('take one each as far as each has tried something, and nothing where none has', async () => {
    const { ask, times } = start({ createPerAddress: 3 });
    await Promise.all([AGAIN, AGAIN].map((conclusion) => ask(intent, conclusion)));
    await Promise.all([failed(new AttemptError('INVALID_INPUT')), TRIED, TRIED].map((answer) => ask(intent, answer)));

    expect(await times(2, {})).toEqual([null, WAIT]);
  });

  it.each<[string, Partial<CreationRequest>]>([
    ['caller', { caller: caller('GUEST', 'jwt:alice') }],
    ['address', { client: THERE }],
    ['device', { fingerprint: 'another' }],
    ['key', { idempotencyKey: 'another' }],
  ])('are those with the same %s alone', async (_what, other) => {
    const { ask } = start({ createPerAddress: 1, createPerFingerprint: 1 });
    const mine = ask(intent);
    const answer = await ask({ ...intent, ...other });
    // It has the address or the device in common, which are used up: it would be let through if it took nothing.
    expect([await mine, answer]).toEqual([TRIED, WAIT]);
  });

  it('are told apart from what has no key', async () => {
    const { ask } = start({ createPerAddress: 1 });

    expect(await Promise.all([ask({ fingerprint: 'one' }), ask({ fingerprint: 'one' })])).toEqual([TRIED, WAIT]);
  });
});
