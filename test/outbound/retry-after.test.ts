import { expect, test } from 'vitest';
import { parseRetryAfterMs } from '../../src/outbound/retry-after.js';

const NOW = new Date('2026-10-21T07:28:00.500Z');
const HOUR_MS = 3_600_000;

test.each([
  ['0', 0],
  ['1', 1_000],
  [' 7 ', 7_000],
  ['007', 7_000],
  ['3600', HOUR_MS],
  ['Wed, 21 Oct 2026 07:28:10 GMT', 9_500],
  ['Wed, 21 Oct 2026 08:28:00 GMT', HOUR_MS - 500],
  ['Wed, 21 Oct 2026 07:28:00 GMT', 0],
  ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
])('Retry-After %j is a wait of %i ms', (header, waitMs) => {
  expect(parseRetryAfterMs(header, NOW)).toBe(waitMs);
});

test.each([
  null,
  '',
  '   ',
  '7 apples',
  '-5',
  '+5',
  '1.5',
  '1e3',
  '0x10',
  'soon',
  'NaN',
  'Infinity',
  '5, 10',
  '2026-10-21',
  '2026-10-21T07:28:10Z',
  'Wed, 21 Oct 2026',
  'Wed, 21 Oct 2026 07:28:10',
  'Wed, 21 Oct 2026 07:28:10 PST',
  'Wed, 21 Oct 2026 07:28:10 GMT or later',
  'Wed, 99 Oct 2026 07:28:10 GMT',
  'Wed, 21 Foo 2026 07:28:10 GMT',
  'Wednesday, 21-Oct-26 07:28:10 GMT',
])('Retry-After %j says nothing that can be read', (header) => {
  expect(parseRetryAfterMs(header, NOW)).toBeNull();
});

test('a Retry-After of more digits than a number holds is a long wait, and still a number that JSON can carry', () => {
  const waitMs = parseRetryAfterMs('9'.repeat(400), NOW);
  expect(waitMs).toBeGreaterThan(HOUR_MS);
  expect(Number.isFinite(waitMs)).toBe(true);
});
