/** @typedef {import('./random.mjs').Random} Random */

const GUEST = 'guest-8f4a2b1c-9d3e-4f5a-b6c7-8d9e0f1a2b3c';

/** Text that breaks what is written for usual text. */
const SHARDS = [
  'a',
  '0',
  '-',
  ' ',
  '\t',
  '\n',
  '\r\n',
  '\0',
  '\\',
  '"',
  "'",
  '`',
  '/',
  '%00',
  '%',
  '..',
  '{',
  '}',
  '[',
  ']',
  '$',
  ':',
  ',',
  'é',
  'ß',
  'İ',
  '\u200b',
  '\u202e',
  '\ufeff',
  '\ud800',
  '\udfff',
  '😀',
  '\u0301',
  'ﷺ',
  '__proto__',
  'constructor',
  'en-',
  'x-a',
  '-u-ca',
  'a!',
  'Z',
  '::1',
  '0x',
  '1e9',
  "' OR 1=1--",
  '<script>',
  '\\u0000',
  '0'.repeat(20),
];

/** Text at the edge of a form that we know. */
const FORMS = [
  GUEST,
  GUEST.toUpperCase(),
  `${GUEST} `,
  GUEST.slice(6),
  'en-US',
  'zh-cmn-Hans-CN-x-private',
  'US',
  'us',
  'ZZ',
  '2026-01-01T00:00:00Z',
  '0000-01-01T00:00:00Z',
  '9999-12-31T23:59:60.999999999+23:59',
  '-271821-04-20T00:00:00Z',
  'ZXZlbnQ6MA',
  'ZXZlbnQ6OTk5OTk5OTk5OTk5OTk5',
  'YXVkaXQ6OTk5OTk5OTk5OTk5OTk5OjA',
  'c2Vzc2lvbjo',
  'bnVsbA==',
  '=====',
];

/** A string of up to `most` characters. @param {Random} random */
export function hostileString(random, most = 90_000) {
  if (random.chance(0.3)) return random.pick(FORMS);
  const length = random.sizeUpTo(most);
  const shards = Array.from({ length: random.chance(0.5) ? 1 : 4 }, () => random.pick(SHARDS));
  const text = shards.join('').repeat(Math.ceil(length / shards.join('').length));
  // The end is where a pattern with too many ways to match gives up.
  return text.slice(0, length) + (random.chance(0.5) ? random.pick(SHARDS) : '');
}

const NUMBERS = [0, -0, -1, 1, 100, 101, 2 ** 31 - 1, 2 ** 31, -(2 ** 31), 2 ** 53, 1e308, 0.1, -1e-300];

/** A number as GraphQL or JSON has it, in text. @param {Random} random */
const hostileNumber = (random) =>
  random.chance(0.8)
    ? String(random.pick(NUMBERS)).replace('+', '')
    : random.pick(['1', '-9', '1.5', '1e']) + '9'.repeat(random.sizeUpTo(50_000));

const KEYS = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'length',
  'input',
  'guestId',
  'from',
  '',
  '\0',
  'a.b',
  '0',
  'ipMetadata',
];

/**
 * A value for a variable, as JSON. Text and not an object, so that it may have keys twice and nest as deep as it likes.
 *
 * @param {Random} random
 * @param {number} most about how many characters
 * @returns {string}
 */
export function hostileJson(random, most = 60_000) {
  const count = random.sizeUpTo(Math.max(1, most / 20));
  const scalars = [
    () => random.pick(['null', 'true', 'false']),
    () => hostileNumber(random).slice(0, most),
    () => JSON.stringify(hostileString(random, most)),
    () => JSON.stringify(hostileString(random, Math.min(most, 200))),
  ];
  if (most < 100) return random.pick(scalars)();
  return random.pick([
    ...scalars,
    () => `${'['.repeat(count * 5)}${']'.repeat(count * 5)}`,
    () => `${'{"a":'.repeat(count)}1${'}'.repeat(count)}`,
    () => `[${Array.from({ length: count }, (_, index) => index).join(',')}]`,
    () => `[${Array(count).fill(hostileJson(random, 15)).join(',')}]`,
    () => `{${Array.from({ length: count }, (_, index) => `"k${index}":${index % 10}`).join(',')}}`,
    () =>
      `{${Array(count)
        .fill(`${JSON.stringify(random.pick(KEYS))}:{}`)
        .join(',')}}`,
    () => `{${KEYS.map((key) => `${JSON.stringify(key)}:${hostileJson(random, most / 20)}`).join(',')}}`,
  ])();
}

/** A value as it stands in a document. @param {Random} random */
export function hostileLiteral(random) {
  const count = random.sizeUpTo(400);
  return random.pick([
    () => hostileNumber(random),
    () => JSON.stringify(hostileString(random, 20_000)),
    () => `"""${hostileString(random, 20_000).replaceAll('"""', '')}"""`,
    () => `"""${'\n  x'.repeat(random.sizeUpTo(15_000))}"""`,
    () => `"${random.pick(['\\u0041', '\\u{1F600}', '\\n', '\\uD83D\\uDE00']).repeat(random.sizeUpTo(5_000))}"`,
    () => `"${random.pick(['\\uD83D', '\\u{110000}', '\\q', '\\u{'])}"`,
    () => `${'['.repeat(count)}${']'.repeat(count)}`,
    () => `${'{a:'.repeat(count / 2)}1${'}'.repeat(count / 2)}`,
    () => `{${Array.from({ length: count / 2 }, (_, index) => `k${index}:1`).join(' ')}}`,
    () =>
      `{${Array(Math.ceil(count / 2))
        .fill('guestId:1')
        .join(' ')}}`,
    () => `[${Array(count).fill('SESION_INITIATED').join(' ')}]`,
    () => random.pick(['null', 'true', 'OPS', '$missing', '__proto__']),
  ])();
}
