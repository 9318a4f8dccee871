import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { SqliteConnection } from '../../dist/store/sqlite-connection.js';
import { BuiltServer } from './built-server.mjs';
import { compare, warmUp } from './comparison.mjs';
import { serverFlow } from './flows.mjs';
import { watchOthers } from './machine.mjs';
import { copyProduct } from './product-copy.mjs';
import { auditVerdict, noise } from './report.mjs';

/** With the audit trail at least so much of the rate without. */
const AIM = 0.9;
const SETTING = { clients: 50, delayMs: 0, aim: AIM };
const NO_AUDIT = { module: 'store/append-audit.ts', code: 'export function appendAudit() {}' };

/**
 * What the audit trail costs: the same load, by turns, on this server and on one whose ledger thread appends nothing to it.
 *
 * @param {object} bench
 * @param {string} bench.directory
 * @param {import('./helper.mjs').Helper} bench.standIn
 * @param {(file: string, args?: string[]) => Promise<import('./helper.mjs').Helper>} bench.start
 * @param {(() => void)[]} bench.cleanups
 * @param {import('./options.mjs').Options} bench.options
 * @returns {Promise<{ text: string, isMet: boolean }>}
 */
export async function measureAudit({ directory, standIn, start, cleanups, options }) {
  await standIn.ask('delay', 0);
  const servers = [];
  const ours = [standIn];
  const flowOf = async (name, replacement) => {
    const home = join(directory, name);
    mkdirSync(home);
    const main = await copyProduct(home, replacement);
    const server = await BuiltServer.start({ directory: home, upstream: standIn.greeting.origin, main });
    cleanups.push(() => server.kill());
    servers.push(server);
    const loadClient = await start('load-client.mjs', [server.origin]);
    ours.push(loadClient);
    return serverFlow(loadClient, server, standIn);
  };
  const flows = { a: await flowOf('without-audit', NO_AUDIT), b: await flowOf('with-audit', null) };
  await warmUp(flows);
  const shareOfOthers = await watchOthers([...ours, ...servers]);
  const compared = await compare(flows, SETTING, options);
  const told = noise(await shareOfOthers());
  for (const server of servers) await server.stop();
  expectEntries(join(directory, 'without-audit'), false);
  expectEntries(join(directory, 'with-audit'), true);
  return { text: auditVerdict(compared) + told, isMet: compared.rate.median >= AIM };
}

/** The one that should have left entries out must have done so, and the other must not. */
function expectEntries(home, isExpected) {
  const db = new SqliteConnection(join(home, 'bench.db'), { readOnly: true });
  const hasSome = db.get('SELECT 1 FROM "AuditEntry" LIMIT 1') !== undefined;
  db.close();
  if (hasSome !== isExpected) throw new Error(`${home}: the audit trail ${hasSome ? 'has entries' : 'is empty'}`);
}
