import { expect, test } from 'vitest';
import { AttemptError } from '../../src/errors.js';
import { HttpScorer } from '../../src/fraud/http-scorer.js';
import { Deadline } from '../../src/guest-session/deadline.js';
import type { RiskAssessment, RiskSignal } from '../../src/guest-session/ports.js';
import { refuseRisk } from '../../src/guest-session/score-fraud-risk.js';
import { bodyOf, closedUrl, httpClient, serve } from '../outbound/raw-server.js';
import { signal } from './signal.js';

const OPEN = { timeoutMs: 200, failMode: 'open' } as const;
const CLOSED = { timeoutMs: 200, failMode: 'closed' } as const;

test('the service is told what it needs and nothing more, and its word is taken', async () => {
  let body = '';
  const { url, requests } = await serve(async (request, response) => {
    body = await bodyOf(request);
    response.end('{"score":42,"reasons":["velocity","new device"]}');
  });
  const validated = { ...signal({ isProxy: true }), crmId: 'crm-1', queueId: 'q' } as RiskSignal;

  expect(await ask(`${url}/risk/score?v=2`, CLOSED, validated)).toEqual({
    score: 42,
    reasons: ['velocity', 'new device'],
    provider: 'http',
    degraded: false,
  });
  expect(requests[0]).toMatchObject({ method: 'POST', url: '/risk/score?v=2' });
  expect(requests[0]?.headers).toMatchObject({ 'content-type': 'application/json' });
  expect(JSON.parse(body)).toEqual(signal({ isProxy: true }));
});

test.each([
  ['the least', '{"score":0}', { score: 0, reasons: [] }],
  ['the most', '{"score":100}', { score: 100, reasons: [] }],
  ['no reasons', '{"score":5,"reasons":null}', { score: 5, reasons: [] }],
  ['reasons that are no list', '{"score":5,"reasons":"because"}', { score: 5, reasons: [] }],
  ['reasons that are no text', '{"score":5,"reasons":[1,"proxy",null,{}]}', { score: 5, reasons: ['proxy'] }],
  ['members that we do not know', '{"score":5,"model":"v9"}', { score: 5, reasons: [] }],
])('an answer with %s is read', async (_what, body, expected) => {
  expect(await ask(await answering(200, body), CLOSED)).toMatchObject({ ...expected, degraded: false });
});

test('a score above the threshold is one that is refused', async () => {
  const risk = await ask(await answering(200, '{"score":76}'), OPEN);
  expect(() => refuseRisk(risk, 75)).toThrow(AttemptError);
});

test.each([75.4, 75.000001])(
  'a score of %f is above a threshold of 75, whatever it is rounded to for the books',
  async (score) => {
    const risk = await ask(await answering(200, JSON.stringify({ score })), OPEN);
    expect(Number.isInteger(risk.score)).toBe(true);
    expect(() => refuseRisk(risk, 75)).toThrow(AttemptError);
  },
);

const BROKEN: [string, () => Promise<string>][] = [
  ['no connection', closedUrl],
  ['no answer', async () => (await serve(() => undefined)).url],
  ['a body that never ends', async () => (await serve((_request, response) => void response.write('{"score":'))).url],
  ['a reset', async () => (await serve((request) => void request.socket.resetAndDestroy())).url],
  ['a 500', () => answering(500, '{"score":1}')],
  ['a 401', () => answering(401, '{"score":1}')],
  ['a 202', () => answering(202, '{"score":1}')],
  ['a 204', () => answering(204, '')],
  ['a redirect', () => answering(307, '{"score":1}')],
  ['HTML', () => answering(200, '<html></html>')],
  ['nothing', () => answering(200, '')],
  ['null', () => answering(200, 'null')],
  ['a bare number', () => answering(200, '12')],
  ['no score', () => answering(200, '{"risk":1}')],
  ['a score as text', () => answering(200, '{"score":"12"}')],
  ['a score below 0', () => answering(200, '{"score":-1}')],
  ['a score above 100', () => answering(200, '{"score":100.5}')],
  ['an endless score', () => answering(200, '{"score":1e999}')],
  ['2 MB', () => answering(200, `{"score":1,"padding":"${'x'.repeat(2_000_000)}"}`)],
];

test.each(BROKEN)('%s from the service refuses where the fail mode is closed', async (_what, urlOf) => {
  const error = await ask(await urlOf(), CLOSED).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(AttemptError);
  expect(error).toMatchObject({ code: 'FRAUD_CHECK_UNAVAILABLE', status: 'FAILED', retryable: true });
  expect((error as AttemptError).detail).not.toContain('fp_');
});

test.each(BROKEN)('%s from the service passes where the fail mode is open, and it says so', async (_what, urlOf) => {
  expect(await ask(await urlOf(), OPEN)).toEqual({
    score: 0,
    reasons: [expect.any(String)],
    provider: 'http',
    degraded: true,
  });
});

test('the deadline of the attempt cuts the wait for the service short', async () => {
  const { url } = await serve(() => undefined);
  const patient = { timeoutMs: 60_000, failMode: 'closed' } as const;
  await expect(ask(url, patient, signal(), new Deadline(100))).rejects.toThrow(AttemptError);
  await expect(ask(url, patient, signal(), new Deadline(0))).rejects.toThrow(AttemptError);
});

async function answering(status: number, body: string): Promise<string> {
  return (await serve((_request, response) => void response.writeHead(status, { location: '/' }).end(body))).url;
}

function ask(
  url: string,
  settings: ConstructorParameters<typeof HttpScorer>[2],
  about: RiskSignal = signal(),
  deadline = new Deadline(60_000),
): Promise<RiskAssessment> {
  return new HttpScorer(httpClient().axios, url, settings).score(about, deadline);
}
