import { expect, it } from 'vitest';
import { canonicalJson } from '../src/canonical-json.js';

it('sorts the keys at every depth, and leaves lists as they are', () => {
  expect(canonicalJson({ b: [{ d: 1, c: 2 }, 3], a: null, B: { z: true, é: '\n', y: 1e21 } })).toBe(
    '{"B":{"y":1e+21,"z":true,"é":"\\n"},"a":null,"b":[{"c":2,"d":1},3]}',
  );
});

it('writes dates as ISO 8601, and leaves out what is undefined', () => {
  expect(canonicalJson({ at: new Date(0), not: undefined })).toBe('{"at":"1970-01-01T00:00:00.000Z"}');
});
