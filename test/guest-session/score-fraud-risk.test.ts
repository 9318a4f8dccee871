import { expect, test } from 'vitest';
import { AttemptError } from '../../src/errors.js';
import { refuseRisk } from '../../src/guest-session/score-fraud-risk.js';

const risk = (score: number, reasons: string[] = []) => ({ score, reasons, provider: 'test', degraded: false });

test.each([0, 74, 75])('a score of %i passes a threshold of 75', (score) => {
  expect(() => refuseRisk(risk(score), 75)).not.toThrow();
});

test.each([75.000001, 76, 100, Number.NaN])('a score of %f is refused at a threshold of 75', (score) => {
  expect(() => refuseRisk(risk(score), 75)).toThrow(AttemptError);
});

test('a threshold of 100 lets everyone pass, one of 0 only the harmless', () => {
  expect(() => refuseRisk(risk(100), 100)).not.toThrow();
  expect(() => refuseRisk(risk(0), 0)).not.toThrow();
  expect(() => refuseRisk(risk(1), 0)).toThrow(AttemptError);
});

test('operations read the score and its reasons, the public only that it was refused', () => {
  let error: unknown;
  try {
    refuseRisk(risk(87, ['proxy', 'velocity']), 75);
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toMatchObject({
    code: 'FRAUD_BLOCKED',
    status: 'REJECTED',
    retryable: false,
    detail: 'score 87 is above 75 (proxy, velocity)',
  });
  expect((error as Error).message).not.toMatch(/87|75|proxy/);
});
