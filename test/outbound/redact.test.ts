import { describe, expect, it } from 'vitest';
import { redacted, withoutSecrets } from '../../src/outbound/redact.js';

const SECRET = 'fp /+"\\é&=%';
const json = JSON.stringify;
const form = new URLSearchParams({ x: SECRET }).toString().slice(2);

describe('what an upstream says', () => {
  it.each([
    ['velocity: device seen by e since "e" (e)', 'velocity: device seen by [x] since "[x]" ([x])', 'e'],
    ['fp_1 is not fp_12, x_fp_1 or éfp_1é', '[x] is not fp_12, x_fp_1 or éfp_1é', 'fp_1'],
    ['a+b, a.b and aab', '[x], a.b and aab', 'a+b'],
    ['a%2Bb and {"x":"a+b"}', '[x] and {"x":"[x]"}', 'a+b'],
    ['x0123456y, x01234567y', 'x0123456y, x[x]y', '01234567'],
  ])('has a short secret taken out only where it stands by itself: %s', (text, left, secret) => {
    expect(withoutSecrets(text, [secret], '[x]')).toBe(left);
  });

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
    ['{"token":{"value":"T0p"}}'],
    ['{"token" : { "a": {"b": "}"}, "value":"T0p" } }'],
    ['{"token":{"a":"it\'s }","value":"T0p"}}'],
    [`{'token':{'a':'}"','value':'T0p'}}`],
    ['{"tokens":["a","T0p"]}'],
    ['{"tokens":[["]"],["T0p"'],
    ['{"answer":"{\\"token\\":{\\"value\\":\\"T0p\\"}}"}'],
    ['{"answer":"{\\"token\\":{\\"a\\":\\"}\\\\\\\\\\",\\"value\\":\\"T0p\\"}}"}'],
    ['{"token":{"a":"}\\\\","b":"\\"}","value":"T0p"}}'],
    ['token: not.T0p'],
    ['Authorization: Token T0p'],
    ['eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.T0p is expired'],
    ['?t=x%20eyJhbGciOiJub25lIn0.T0p.'],
    ['{"x":"a.eyJhbGciOiJub25lIn0.T0p.c2ln"}'],
    ['token: T0p'],
    ['token: requiredT0p'],
  ])('does not repeat what it calls a credential: %s', (text) => {
    const safe = redacted(`before ${text} after`);

    expect(safe).not.toContain('T0p');
    expect(safe).toMatch(/^before .*\[redacted\]/);
  });

  it.each([
    'The bearer token is missing',
    '{"error":"invalid_token","detail":"queue closed"}',
    'no token, no basic rights',
    'Invalid token: signature mismatch',
    'max tokens > 1000',
    'missing header Authorization: required',
    '{"message":"missing header Authorization: required","code":1}',
    'eyJhbGciOiJIUzI1NiJ9 is no token, nor is cxone.example.com or 1.2.3',
  ])('is kept as it is where it holds none: %s', (text) => expect(redacted(text)).toBe(text));

  // With patterns that go back over the same text this takes hours, not milliseconds.
  it.each([
    'token',
    'token ',
    '"token',
    '"token":{',
    '"token":["',
    'eyJ',
    'eyJ.',
    'eyJ.a',
    '-.',
    'token\\"',
    'token="',
    'Bearer ',
    '\\',
    '%22',
    'secret-',
    'token%3',
  ])('takes no longer than its length for a text of nothing but %s', (part) =>
    expect(redacted(part.repeat(100_000))).not.toBe(''),
  );
});
