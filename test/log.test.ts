import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const LOG = new URL('../dist/log.js', import.meta.url).href;

/** What a program that logs writes to each of its outputs. */
async function logged(level: string, statements: string) {
  const program = `import { createLog } from ${JSON.stringify(LOG)}; const log = await createLog('${level}'); ${statements}`;
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program]);
  return {
    stdout,
    lines: stderr
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line)),
  };
}

describe('the log', () => {
  it('goes to standard error as JSON lines, whole even when the program ends at once', async () => {
    const { stdout, lines } = await logged(
      'info',
      "log.info({ requestId: 'r' }, 'hello'); log.error({ err: new Error('oh') }, 'broken'); process.exit(0);",
    );

    expect(stdout).toBe('');
    expect(lines).toMatchObject([
      { level: 30, requestId: 'r', msg: 'hello' },
      { level: 50, msg: 'broken', err: { message: 'oh', stack: expect.stringContaining('Error: oh') } },
    ]);
  });

  it('leaves out what is below its level', async () => {
    const { lines } = await logged('warn', "log.info('no'); log.warn('yes'); log.debug('no');");
    const { lines: none } = await logged('silent', "log.fatal('no');");

    expect(lines.map(({ msg }) => msg)).toEqual(['yes']);
    expect(none).toEqual([]);
  });

  it('redacts every known place of a credential, should one ever be passed in', async () => {
    const secret = 'canary-4711';
    const { lines } = await logged(
      'trace',
      `const s = '${secret}';
       log.info({ authorization: s, clientToken: s, clientSecret: s, deviceFingerprint: s }, 'a');
       log.info({ headers: { authorization: s }, payload: { clientToken: s }, input: { deviceFingerprint: s }, settings: { clientSecret: s } }, 'b');
       log.info({ err: Object.assign(new Error('x'), { authorization: s, clientToken: s, clientSecret: s, deviceFingerprint: s }) }, 'c');`,
    );

    expect(lines).toHaveLength(3);
    expect(JSON.stringify(lines)).not.toContain(secret);
    expect(lines[1]).toMatchObject({ headers: { authorization: '[redacted]' } });
  });

  it('tells of an error what went wrong and where, and nothing that libraries hang on it', async () => {
    const secret = 'canary-4711';
    const { lines } = await logged(
      'trace',
      `const s = '${secret}';
       const hung = { config: { headers: { Authorization: s }, data: s }, response: { data: { token: s } }, request: [s] };
       const cause = Object.assign(new Error('the cause'), { code: 'ECONNRESET', ...hung });
       log.error({ err: Object.assign(new TypeError('oh', { cause }), { code: 'E1', ...hung }) }, 'a');
       log.error({ err: Object.assign(new AggregateError([cause], 'many'), hung) }, 'b');
       log.error({ err: hung }, 'c');
       log.error(Object.assign(new Error('bare'), hung));`,
    );

    expect(JSON.stringify(lines)).not.toContain(secret);
    expect(lines).toMatchObject([
      { err: { type: 'TypeError', message: 'oh: the cause', code: 'E1', stack: expect.stringContaining('at file:') } },
      { err: { type: 'AggregateError', message: 'many' } },
      { err: { type: 'Object' } },
      { err: { message: 'bare' } },
    ]);
    expect(Object.keys(lines[0].err)).toEqual(['type', 'message', 'stack', 'code']);
  });
});
