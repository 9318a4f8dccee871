import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const PROGRAM = fileURLToPath(new URL('../../dist/sandbox/main.js', import.meta.url));

test.each(['SIGTERM', 'SIGINT'] as const)(
  'both sandboxes run alone, say where, and %s ends them with exit 0',
  async (signal) => {
    const child = spawn(process.execPath, [PROGRAM, '--port', '0', '--crm-port', '0'], { timeout: 10_000 });
    const exited = once(child, 'exit');
    const lines: string[] = [];
    for await (const line of createInterface(child.stdout)) {
      lines.push(line);
      if (line.startsWith('Ctrl-C')) break;
    }
    const said = lines.join('\n');
    const cxone = /CXone sandbox\s+(\S+)/.exec(said)?.[1];
    const crm = /CRM sandbox\s+(\S+)/.exec(said)?.[1];
    expect(said).toContain('sandbox-client');
    const example = /curl -X POST (\S+) -d '(.+)'/.exec(said);
    const added = await fetch(`${example?.[1]}`, { method: 'POST', body: `${example?.[2]}` });
    expect(added.status).toBe(201);
    expect((await fetch(`${cxone}/_sandbox/state`)).status).toBe(200);
    expect((await fetch(`${crm}`, { method: 'POST', body: '{}' })).status).toBe(200);
    child.kill(signal);
    expect(await exited).toEqual([0, null]);
  },
);

test('the CRM can be left out, and a port that is none is said so', async () => {
  const child = spawn(process.execPath, [PROGRAM, '--port', '4o10', '--no-crm'], { timeout: 10_000 });
  const exited = once(child, 'exit');
  let said = '';
  for await (const chunk of child.stderr) said += chunk;
  expect(said).toContain('--port: 4o10 is no port');
  expect(await exited).toEqual([1, null]);
});
