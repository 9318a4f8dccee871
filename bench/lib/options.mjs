import { parseArgs } from 'node:util';

export const USAGE = `npm run bench -- [--rounds N] [--seconds S] [--only 1|50|slow|audit] [--profile]

  --rounds N    rounds of each flow, interleaved (3)
  --seconds S   how long one round is (2)
  --only WHAT   1 or 50 concurrent clients, the slow upstream, or the cost of the audit trail alone
  --profile     where the server's CPU time goes, at 50 clients (with --only 1: at one), instead of the comparison
`;

/** @typedef {{ rounds: number, seconds: number, only: '1' | '50' | 'slow' | 'audit' | null, profile: boolean }} Options */

/**
 * @param {string[]} args
 * @returns {Options}
 * @throws TypeError that says what is wrong with them
 */
export function parseOptions(args) {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '2' },
      only: { type: 'string' },
      profile: { type: 'boolean', default: false },
    },
  });
  const rounds = Number(values.rounds);
  const seconds = Number(values.seconds);
  const only = values.only ?? null;
  if (!Number.isInteger(rounds) || rounds < 1) throw new TypeError('--rounds must be a whole number from 1');
  if (!(seconds > 0 && seconds <= 60)) throw new TypeError('--seconds must be a number above 0, at most 60');
  if (only !== null && !['1', '50', 'slow', 'audit'].includes(only)) {
    throw new TypeError('--only must be 1, 50, slow or audit');
  }
  return { rounds, seconds, only, profile: values.profile };
}
