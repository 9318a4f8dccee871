import { expect, test } from 'vitest';
import { AttemptError, type FieldProblem } from '../../src/errors.js';
import type { CreateGuestSessionRequest } from '../../src/guest-session/ports.js';
import { validateRequest } from '../../src/guest-session/validate-request.js';
import { SEED } from './seed.js';

const UUID = '8f4a2b1c-9d3e-4f5a-b6c7-8d9e0f1a2b3c';
const RULES = { defaultQueueId: 'queue-default' };

test('the seed example is valid, and every default is filled in', () => {
  expect(validateRequest(SEED, RULES)).toEqual({
    guestId: 'guest-8f4a2b1c-9d3e-4f5a-b6c7-8d9e0f1a2b3c',
    deviceFingerprint: 'fp_9a8b7c6d5e4f3g2h1i0j',
    crmId: 'crm_acct_44920',
    channel: 'WEBCHAT',
    priority: 'NORMAL',
    queueId: 'queue-default',
    languagePreference: 'en-US',
    isProxy: false,
    country: 'US',
    idempotencyKey: null,
  });
});

test('nulls mean the same as fields left out', () => {
  const { guestId, deviceFingerprint } = SEED;
  const nulls = { crmId: null, channel: null, priority: null, queueId: null, languagePreference: null } as const;
  const given = { guestId, deviceFingerprint, ...nulls, ipMetadata: { isProxy: null, country: null } };
  expect(validateRequest(given, RULES)).toEqual(validateRequest({ guestId, deviceFingerprint }, RULES));
  expect(validateRequest({ ...given, ipMetadata: null }, RULES)).toMatchObject({ isProxy: false, country: null });
});

test('all that is wrong is told at once, each with the path of its field and without the value', () => {
  const nothingIsRight = {
    guestId: 'secret-value',
    deviceFingerprint: '',
    crmId: 'secret-value\n',
    queueId: '',
    channel: 'secret-value',
    priority: 'secret-value',
    languagePreference: 'secret_value',
    ipMetadata: { country: 'secret-value' },
  };
  const error = refusalOf(nothingIsRight);
  expect(error).toMatchObject({ code: 'INVALID_INPUT', status: 'REJECTED', retryable: false });
  expect(error.problems.map(pathOf)).toEqual([
    'input.guestId',
    'input.deviceFingerprint',
    'input.crmId',
    'input.queueId',
    'input.channel',
    'input.priority',
    'input.languagePreference',
    'input.ipMetadata.country',
  ]);
  for (const { field, message } of error.problems) expect(error.detail).toContain(`${field.join('.')} ${message}`);
  expect(JSON.stringify(error)).not.toMatch(/secret/);
  expect(error.message).not.toMatch(/secret/);
});

test.each([
  ['a UUID', UUID, UUID],
  ['a UUID in upper case', UUID.toUpperCase(), UUID],
  ['guest- and a UUID', `guest-${UUID}`, `guest-${UUID}`],
  ['guest- and a UUID in upper case', `GUEST-${UUID.toUpperCase()}`, `guest-${UUID}`],
])('as a guest id %s is taken, in lower case', (_what, guestId, expected) => {
  expect(validateRequest(seed({ guestId }), RULES).guestId).toBe(expected);
});

test.each([
  ['nothing', ''],
  ['another prefix', `visitor-${UUID}`],
  ['two prefixes', `guest-guest-${UUID}`],
  ['a prefix alone', 'guest-'],
  ['a UUID without hyphens', UUID.replaceAll('-', '')],
  ['a UUID that is one digit short', UUID.slice(0, -1)],
  ['a UUID that is one digit long', `${UUID}0`],
  ['a digit that is not hexadecimal', UUID.replace('8', 'g')],
  ['a blank before it', ` ${UUID}`],
  ['a line break after it', `${UUID}\n`],
  ['braces around it', `{${UUID}}`],
  ['a number', 42],
  ['null', null],
  ['a list with a UUID', [UUID]],
])('as a guest id %s is refused', (_what, guestId) => {
  expect(problemsOf({ guestId })).toEqual(['input.guestId']);
});

test.each([
  ['1 character', 'x'],
  ['512 characters', 'x'.repeat(512)],
  ['letters of any script, signs and inner blanks', 'é ß 指紋 🙂 «a/b» +='],
])('as a fingerprint %s is taken as it is', (_what, deviceFingerprint) => {
  expect(validateRequest(seed({ deviceFingerprint }), RULES).deviceFingerprint).toBe(deviceFingerprint);
});

test.each([
  ['nothing', ''],
  ['513 characters', 'x'.repeat(513)],
  ['blanks alone', '   '],
  ['a NUL', 'fp\u0000'],
  ['a line break', 'fp\n1'],
  ['an escape', '\u001b[31mfp'],
  ['a DEL', 'fp\u007f'],
  ['a C1 control', 'fp\u0085'],
  ['a change of direction', 'fp\u202e1'],
  ['half a surrogate pair', 'fp\ud83d'],
  ['a number', 7],
  ['a list', ['fp']],
])('as a fingerprint %s is refused', (_what, deviceFingerprint) => {
  expect(problemsOf({ deviceFingerprint })).toEqual(['input.deviceFingerprint']);
});

test.each(['crmId', 'queueId'])('%s has 1 to 128 printable characters', (field) => {
  expect(validateRequest(seed({ [field]: 'c'.repeat(128) }), RULES)).toHaveProperty(field, 'c'.repeat(128));
  expect(validateRequest(seed({ [field]: 'c' }), RULES)).toHaveProperty(field, 'c');
  for (const bad of ['c'.repeat(129), '', ' ', 'c\t', 5, {}])
    expect(problemsOf({ [field]: bad })).toEqual([`input.${field}`]);
});

test.each([
  ['en-US', 'en-US'],
  ['EN-us', 'en-US'],
  ['de', 'de'],
  ['zh-hans-cn', 'zh-Hans-CN'],
  ['es-419', 'es-419'],
  ['sl-rozaj-biske', 'sl-biske-rozaj'],
  ['iw', 'he'],
  ['de-u-co-phonebk', 'de-u-co-phonebk'],
  ['en-x-twain', 'en-x-twain'],
])('the language tag %s is taken in its canonical form %s', (languagePreference, canonical) => {
  expect(validateRequest(seed({ languagePreference }), RULES).languagePreference).toBe(canonical);
});

test.each([
  '',
  'en_US',
  'longlanguage',
  'e',
  'en-',
  '-en',
  'en US',
  'en-US,de;q=0.5',
  '*',
  'en-US\n',
  `en-${'x-aaaaaaaa-aaaaaaaa-aaaaaaaa-aaaaaaaa'}`,
  12,
  ['en-US'],
])('the language tag %j is refused', (languagePreference) => {
  expect(problemsOf({ languagePreference })).toEqual(['input.languagePreference']);
});

test.each([
  ['US', 'US'],
  ['us', 'US'],
  ['De', 'DE'],
  ['XX', null],
  ['UK', null],
  ['USA', null],
  ['', null],
  [' US', null],
  ['U', null],
  [49, null],
  [['US'], null],
])('the country %j becomes %j', (country, expected) => {
  if (expected === null) expect(problemsOf({ ipMetadata: { country } })).toEqual(['input.ipMetadata.country']);
  else expect(validateRequest(seed({ ipMetadata: { country } }), RULES).country).toBe(expected);
});

test.each([
  ['channel', 'WEBCHAT'],
  ['channel', 'SMS'],
  ['channel', 'WHATSAPP'],
  ['priority', 'LOW'],
  ['priority', 'NORMAL'],
  ['priority', 'HIGH'],
])('%s may be %s', (field, value) => {
  expect(validateRequest(seed({ [field]: value }), RULES)).toHaveProperty(field, value);
});

// GraphQL refuses these by itself; a library caller is not held to our types at run time.
test.each([
  ['channel', 'webchat'],
  ['channel', 'EMAIL'],
  ['channel', ''],
  ['channel', 'toString'],
  ['channel', '__proto__'],
  ['channel', 1],
  ['channel', ['WEBCHAT']],
  ['channel', Object.create(null)],
  ['channel', Symbol('WEBCHAT')],
  ['priority', 'high'],
  ['priority', 'URGENT'],
  ['priority', ['HIGH']],
  ['priority', {}],
])('%s %o is refused like any other wrong input', (field, value) => {
  expect(problemsOf({ [field]: value })).toEqual([`input.${field}`]);
});

test.each([
  ['isProxy', 'false'],
  ['isProxy', 1],
])('ipMetadata.%s %j of a library caller is refused, not read as true', (field, value) => {
  expect(problemsOf({ ipMetadata: { [field]: value } })).toEqual([`input.ipMetadata.${field}`]);
});

test('a proxy is known as one', () => {
  expect(validateRequest(seed({ ipMetadata: { isProxy: true } }), RULES)).toMatchObject({
    isProxy: true,
    country: null,
  });
});

function seed(changes: object): CreateGuestSessionRequest {
  return { ...SEED, ...changes } as CreateGuestSessionRequest;
}

function refusalOf(request: object): AttemptError {
  try {
    validateRequest(request as CreateGuestSessionRequest, RULES);
  } catch (error) {
    expect(error).toBeInstanceOf(AttemptError);
    return error as AttemptError;
  }
  throw new Error('it was taken');
}

const problemsOf = (changes: object): string[] => refusalOf(seed(changes)).problems.map(pathOf);

const pathOf = ({ field }: FieldProblem): string => field.join('.');
