import { describe, expect, it } from 'vitest';
import { redacted, withoutSecrets } from '../../src/outbound/redact.js';

const SECRET = 'fp /+"\\é&=%';
const json = JSON.stringify;
const form = new URLSearchParams({ x: SECRET }).toString().slice(2);

describe('what an upstream says', () => {
  it.each([
    ['as it is', SECRET],
    ['in JSON', json({ x: SECRET })],
    ['in JSON within JSON', json({ body: json({ x: SECRET }) })],
    ['in a form', form],
    ['in a form within a URL', encodeURIComponent(form)],
    ['in a URL', encodeURIComponent(SECRET)],
    ['in JSON within a URL', encodeURIComponent(json({ x: SECRET }))],
    ['in hex', Buffer.from(SECRET).toString('hex')],
    ['in base64', Buffer.from(SECRET).toString('base64')],
    ['in base64 for URLs', Buffer.from(SECRET).toString('base64url')],
  ])('does not repeat a secret of ours %s', (_, text) => {
    const safe = withoutSecrets(`a ${text} z`, ['', SECRET]);

    expect(safe).toMatch(/^a .*\[redacted\].* z$/);
    expect(safe).not.toMatch(/fp|é/);
  });

  it.each([
    ['{"token":"T0p"}'],
    ['{"clientToken" : "T0p"}'],
    ['{"answer":"{\\"token\\":\\"T0p\\"}"}'],
    ['{"a":"{\\"b\\":\\"{\\\\\\"token\\\\\\":\\\\\\"T0p\\\\\\"}\\"}"}'],
    ['<token>T0p</token>'],
    ['<session token="T0p"/>'],
    ['grant_type=x&client_secret=T0p&y'],
    ['redirect=%3Faccess_token%3DT0p'],
    ['Authorization: Bearer T0p'],
    ['Authorization: T0p'],
    ['Set-Cookie: T0p'],
    ['x-api-key: T0p'],
    ['we got Bearer T0p0123456789abcdef'],
    ["{'password': 'T0p'}"],
    ['{"jwt":"T0p'],
  ])('does not repeat what it calls a credential: %s', (text) => {
    const safe = redacted(`before ${text} after`);

    expect(safe).not.toContain('T0p');
    expect(safe).toMatch(/^before .*\[redacted\]/);
  });

  it.each([
    'The bearer token is missing',
    '{"error":"invalid_token","detail":"queue closed"}',
    'no token, no basic rights',
  ])('is kept as it is where it holds none: %s', (text) => expect(redacted(text)).toBe(text));

  // With patterns that go back over the same text this takes hours, not milliseconds.
  it.each(['token', 'token ', '"token', 'token\\"', 'token="', 'Bearer ', '\\', '%22', 'secret-', 'token%3'])(
    'takes no longer than its length for a text of nothing but %s',
    (part) => expect(redacted(part.repeat(100_000))).not.toBe(''),
  );
});
