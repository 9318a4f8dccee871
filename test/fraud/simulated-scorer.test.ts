import { assert, asyncProperty, boolean, string } from 'fast-check';
import { expect, test } from 'vitest';
import { SimulatedScorer } from '../../src/fraud/simulated-scorer.js';
import { signal } from './signal.js';

const scorer = new SimulatedScorer();

test('the seed example scores 60', async () => {
  expect(await scorer.score(signal())).toEqual({ score: 60, reasons: [], provider: 'simulated', degraded: false });
});

test('behind a proxy the seed example scores 80, and says why', async () => {
  expect(await scorer.score(signal({ isProxy: true }))).toEqual({
    score: 80,
    reasons: ['proxy'],
    provider: 'simulated',
    degraded: false,
  });
});

test('a score stops at 100', async () => {
  const scores: number[] = [];
  for (let device = 0; device < 100; device += 1) {
    const base = (await scorer.score(signal({ deviceFingerprint: `fp-${device}` }))).score;
    const { score } = await scorer.score(signal({ deviceFingerprint: `fp-${device}`, isProxy: true }));
    expect(score).toBe(Math.min(100, base + 20));
    scores.push(score);
  }
  expect(scores).toContain(100);
});

test('one device has one score, a whole number from 0 to 100, whoever uses it', async () => {
  await assert(
    asyncProperty(string(), boolean(), async (deviceFingerprint, isProxy) => {
      const { score } = await scorer.score(signal({ deviceFingerprint, isProxy }));
      const again = await new SimulatedScorer().score(
        signal({ deviceFingerprint, isProxy, guestId: 'another', country: 'DE', channel: 'SMS' }),
      );
      expect(again.score).toBe(score);
      expect(Number.isInteger(score) && score >= 0 && score <= 100).toBe(true);
    }),
  );
});
