import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';

const directory = mkdtempSync(join(tmpdir(), 'run-program-'));
afterAll(() => rmSync(directory, { recursive: true }));

const library = new URL('../../scripts/lib/run-program.mjs', import.meta.url).href;
const wrapper = join(directory, 'wrapper.mjs');
writeFileSync(
  wrapper,
  `import { runProgram } from ${JSON.stringify(library)};
process.exitCode = await runProgram(process.argv[2], process.argv.slice(3));`,
);

/** Runs a program as `npm start` would; what it prints is in `output`. */
function start(name: string, program: string, ...args: string[]) {
  const file = join(directory, `${name}.mjs`);
  writeFileSync(file, program);
  const child = spawn(process.execPath, [wrapper, file, ...args], {
    // A session of its own: in a terminal's, SIGINT would be left to the terminal.
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const run = { child, output: '', exited: once(child, 'exit') };
  child.stdout.on('data', (chunk) => {
    run.output += chunk;
  });
  return run;
}

/** Says "ready", then every signal that it gets; drains for a while after the first. */
const drains = `
  const stay = setInterval(() => {}, 1000);
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => {
    process.stdout.write(signal + ' ');
    setTimeout(() => clearInterval(stay), 300);
  });
  process.stdout.write('ready ');`;

/** Says "ready", then every signal that it gets; drains until the second. */
const patient = `
  let heard = 0;
  const stay = setInterval(() => {}, 1000);
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => {
    process.stdout.write(signal + ' ');
    heard += 1;
    if (heard === 2) clearInterval(stay);
  });
  process.stdout.write('ready ');`;

const ready = (run: { output: string; child: ChildProcess }) =>
  expect.poll(() => run.output, { timeout: 5_000 }).toContain('ready');

describe('a program that the scripts run', () => {
  it('gets its arguments, and gives its exit code', async () => {
    const run = start('code', 'console.log(process.argv.slice(2).join("|")); process.exitCode = 7;', 'a b', '--c');

    expect(await run.exited).toEqual([7, null]);
    expect(run.output).toBe('a b|--c\n');
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('gets %s once, and ends with 0 after its drain', async (signal) => {
    const run = start(`drains-${signal}`, drains);
    await ready(run);
    run.child.kill(signal);
    await sleep(50);
    // As npm does, which passes on what the terminal has sent to everyone.
    run.child.kill(signal);

    expect(await run.exited).toEqual([0, null]);
    expect(run.output).toBe(`ready ${signal} `);
  });

  it('gets a second signal that comes later: somebody has lost patience', async () => {
    const run = start('patient', patient);
    await ready(run);
    run.child.kill('SIGTERM');
    await sleep(1_200);
    run.child.kill('SIGTERM');

    expect(await run.exited).toEqual([0, null]);
    expect(run.output).toBe('ready SIGTERM SIGTERM ');
  });

  it('that dies of a signal gives 128 and its number', async () => {
    const run = start('dies', 'process.stdout.write("ready "); setInterval(() => {}, 1000);');
    await ready(run);
    run.child.kill('SIGTERM');

    expect(await run.exited).toEqual([143, null]);
  });

  it('is stopped when npm stopped the shell between them', async () => {
    const file = join(directory, 'orphan.mjs');
    writeFileSync(file, drains);
    const env = { ...process.env, npm_lifecycle_event: 'start' };
    // The second command keeps the shell from becoming the first one.
    const command = `"${process.execPath}" "${wrapper}" "${file}"; true`;
    const shell = spawn('sh', ['-c', command], { env, detached: true, stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    shell.stdout.on('data', (chunk) => {
      output += chunk;
    });
    await expect.poll(() => output, { timeout: 5_000 }).toContain('ready');
    shell.kill('SIGTERM');
    await once(shell, 'close');

    expect(output).toBe('ready SIGTERM ');
  });
});
