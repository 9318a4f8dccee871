import { expect, it } from 'vitest';
import { killLoop } from '../support/kill-loop.js';

/** `npm run torture` runs the long form. */
const CYCLES = Number(process.env.TORTURE_CYCLES ?? 6);
const SEED = Number(process.env.TORTURE_SEED ?? Math.floor(Math.random() * 2 ** 32));
const IS_LONG = process.env.TORTURE_CYCLES !== undefined;

const SHORT = { life: { ms: [100, 1_000], mostReplies: 120 }, paceMs: 1_500 } as const;
const LONG = { life: { ms: [100, 1_500], mostReplies: 300 }, paceMs: 2_600 } as const;

const TENANTS = [
  { tenant: 'an ordinary tenant', share: 0.75, cxone: {} },
  { tenant: 'a tenant that tells the token again', share: 0.25, cxone: { echoToken: true } },
];

it.each(TENANTS)(
  'at $tenant, nothing that was answered is lost and no intent has two sessions, however often the server is killed',
  {
    timeout: 60_000 + CYCLES * 10_000,
  },
  async ({ share, cxone }) => {
    const form = IS_LONG ? LONG : SHORT;
    const report = await killLoop({ seed: SEED, cycles: Math.ceil(CYCLES * share), ...form, cxone });

    console.log(report.summary);
    expect(report.violations, `seed ${SEED}`).toEqual([]);
  },
);
