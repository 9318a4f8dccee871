import { parseArgs } from 'node:util';
import { CrmSandbox } from './crm-sandbox.js';
import { CxoneSandbox } from './cxone-sandbox.js';

/** `npm run sandbox`: CXone and the CRM alone, for a server that runs elsewhere. */
const USAGE = `Usage: npm run sandbox -- [--port 4010] [--crm-port 4011] [--no-crm]`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '4010' },
      'crm-port': { type: 'string', default: '4011' },
      'no-crm': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    say(USAGE);
    return;
  }
  const cxone = await CxoneSandbox.start({ port: portOf('--port', values.port) });
  const crm = values['no-crm'] ? null : await CrmSandbox.start({ port: portOf('--crm-port', values['crm-port']) });
  // Before the first line: who reads it may already send a signal.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      // With its sockets gone nothing holds the process, which then exits 0.
      Promise.all([cxone[Symbol.asyncDispose](), crm?.[Symbol.asyncDispose]()]).catch(fail);
    });
  }
  say(`CXone sandbox   ${cxone.url}
  client id     ${cxone.clientId}
  client secret ${cxone.clientSecret}
  control       ${cxone.controlUrl}state${crm ? `\nCRM sandbox     ${crm.url}\n  received      ${crm.controlUrl}received` : ''}

Make the next two creations fail:
  curl -X POST ${cxone.controlUrl}scenarios -d '{"on":"create","fault":{"kind":"status","status":500},"times":2}'
Undo every fault:
  curl -X DELETE ${cxone.controlUrl}scenarios
See every session that was opened, and end one as an agent would:
  curl ${cxone.controlUrl}history
  curl -X DELETE ${cxone.controlUrl}sessions/SESSION_ID
Ctrl-C stops.`);
}

function portOf(option: string, value: string): number {
  const port = Number(value);
  if (!/^\d+$/.test(value) || port > 65_535) throw new Error(`${option}: ${value} is no port. ${USAGE}`);
  return port;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function fail(error: unknown): void {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  // Not only the code: a sandbox that did start would keep the process alive.
  process.exit(1);
}

main().catch(fail);
