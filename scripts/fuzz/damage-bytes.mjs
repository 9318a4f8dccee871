/** @typedef {import('./random.mjs').Random} Random */

/** What parsers look for. */
const INSERTED = [
  '\0',
  '\r',
  '\n',
  '\r\n',
  '\r\n\r\n',
  '\xff',
  '\xc0\x80',
  '\xed\xa0\x80',
  '\xf8\x88\x80\x80\x80',
  '"',
  '\\',
  '{',
  '}',
  ':',
  ' ',
  '\t',
  '\x7f',
  '\u00e9',
];

/** Bytes with something wrong in them. @param {Random} random @param {Buffer} bytes */
export function damaged(random, bytes) {
  let result = Buffer.from(bytes);
  for (let count = random.sizeUpTo(8); count > 0; count -= 1) {
    const at = random.upTo(result.length);
    const to = Math.min(result.length, at + random.sizeUpTo(40));
    const [before, cut, after] = [result.subarray(0, at), result.subarray(at, to), result.subarray(to)];
    result = random.pick([
      () => Buffer.concat([before, after]),
      () => Buffer.concat([before, cut, cut, after]),
      () => Buffer.concat([before, Buffer.from(random.pick(INSERTED), 'latin1'), cut, after]),
      () => Buffer.concat([before, Buffer.from([...cut].map((byte) => byte ^ (1 << random.upTo(7)))), after]),
    ])();
  }
  return result;
}
