import { randomBytes, randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { TokenCipher } from '../../src/store/token-cipher.js';

const TOKEN = `ctk_${'0123456789abcdef'.repeat(4)}`;

describe('the cipher for client tokens', () => {
  it.each([TOKEN, 'x', 'ünïcødé 🔑', 'x'.repeat(10_000)].map((token) => [token.length, token] as const))(
    'gives a token of %i characters back for the request that it was the answer to',
    (_length, token) => {
      const cipher = new TokenCipher(randomBytes(32));
      const requestId = randomUUID();

      expect(cipher.decrypt(cipher.encrypt(token, requestId), requestId)).toBe(token);
    },
  );

  it('shows nothing of the token, not even that two are the same', () => {
    const cipher = new TokenCipher(randomBytes(32));
    const requestId = randomUUID();
    const [one, other] = [cipher.encrypt(TOKEN, requestId), cipher.encrypt(TOKEN, requestId)] as const;

    expect(one).not.toBe(other);
    for (const text of [one, Buffer.from(sealedOf(one), 'base64url').toString('latin1')]) {
      for (let at = 0; at + 8 <= TOKEN.length; at += 1) expect(text).not.toContain(TOKEN.slice(at, at + 8));
    }
  });

  it('names its key, and two keys differently, without giving them away', () => {
    const keys = [randomBytes(32), randomBytes(32)];
    const names = keys.map((key) => new TokenCipher(key).encrypt(TOKEN, 'r').split('.')[0] ?? '');

    expect(new Set(names).size).toBe(2);
    expect(names).toEqual([expect.stringMatching(/^[0-9a-f]{8}$/), expect.stringMatching(/^[0-9a-f]{8}$/)]);
    for (const [index, key] of keys.entries()) expect(key.toString('hex')).not.toContain(names[index]);
  });

  it('gives the same name to the same key in every process', () => {
    const key = randomBytes(32);
    const [one, other] = [new TokenCipher(key), new TokenCipher(Buffer.from(key))];

    expect(other.decrypt(one.encrypt(TOKEN, 'r'), 'r')).toBe(TOKEN);
  });

  it('reads what an older key has encrypted, and encrypts with the new one alone', () => {
    const [oldest, older, current] = [randomBytes(32), randomBytes(32), randomBytes(32)];
    const cipher = new TokenCipher(current, [older, oldest]);

    for (const key of [oldest, older]) {
      expect(cipher.decrypt(new TokenCipher(key).encrypt(TOKEN, 'r'), 'r')).toBe(TOKEN);
    }
    expect(new TokenCipher(current).decrypt(cipher.encrypt(TOKEN, 'r'), 'r')).toBe(TOKEN);
    expect(() => new TokenCipher(older).decrypt(cipher.encrypt(TOKEN, 'r'), 'r')).toThrow();
  });

  it('says which key is missing and where to put it, and nothing else', () => {
    const text = new TokenCipher(randomBytes(32)).encrypt(TOKEN, 'r');
    const [name, sealed] = text.split('.');

    const message = messageOf(() => new TokenCipher(randomBytes(32)).decrypt(text, 'r'));

    expect(message).toContain(name);
    expect(message).toContain('ENCRYPTION_KEYS_OLD');
    expect(message).not.toContain(sealed);
  });

  it('refuses the token for any other request', () => {
    const cipher = new TokenCipher(randomBytes(32));
    const requestId = randomUUID();
    const text = cipher.encrypt(TOKEN, requestId);

    for (const other of ['', randomUUID(), requestId.toUpperCase(), `${requestId} `]) {
      expect(() => cipher.decrypt(text, other)).toThrow();
    }
  });

  it('notices a change of any bit of the nonce, the text and the tag', () => {
    const cipher = new TokenCipher(randomBytes(32));
    const text = cipher.encrypt(TOKEN, 'r');
    const [name] = text.split('.');
    const sealed = Buffer.from(sealedOf(text), 'base64url');

    for (let bit = 0; bit < sealed.length * 8; bit += 1) {
      const tampered = Buffer.from(sealed);
      tampered[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => cipher.decrypt(`${name}.${tampered.toString('base64url')}`, 'r'), `bit ${bit}`).toThrow();
    }
  });

  it('notices that something was cut off or put on, at either end', () => {
    const cipher = new TokenCipher(randomBytes(32));
    const text = cipher.encrypt(TOKEN, 'r');
    const [name] = text.split('.');
    const sealed = Buffer.from(sealedOf(text), 'base64url');
    const forms = [
      ...Array.from({ length: sealed.length }, (_, n) => sealed.subarray(0, n)),
      ...Array.from({ length: sealed.length }, (_, n) => sealed.subarray(n + 1)),
      Buffer.concat([sealed, Buffer.of(0)]),
      Buffer.concat([Buffer.of(0), sealed]),
    ];

    for (const form of forms) expect(() => cipher.decrypt(`${name}.${form.toString('base64url')}`, 'r')).toThrow();
  });

  it('does not take the name of one key for the text of another', () => {
    const [one, other] = [randomBytes(32), randomBytes(32)];
    const cipher = new TokenCipher(one, [other]);
    const [name] = cipher.encrypt(TOKEN, 'r').split('.');
    const sealed = sealedOf(new TokenCipher(other).encrypt(TOKEN, 'r'));

    expect(() => cipher.decrypt(`${name}.${sealed}`, 'r')).toThrow();
  });

  it.each(['', '.', 'no dot in it', '00000000.', `00000000.${'A'.repeat(64)}`])(
    'refuses what is no such text: %j',
    (text) => {
      expect(() => new TokenCipher(randomBytes(32)).decrypt(text, 'r')).toThrow();
    },
  );

  it('tells nothing of the token when it refuses', () => {
    const cipher = new TokenCipher(randomBytes(32));
    const text = cipher.encrypt(TOKEN, 'r');

    expect(messageOf(() => cipher.decrypt(text, 'another'))).not.toMatch(/ctk_|0123456789abcdef/);
  });
});

const sealedOf = (text: string): string => text.split('.')[1] ?? '';

function messageOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return (error as Error).stack ?? '';
  }
  throw new Error('it did not throw');
}
