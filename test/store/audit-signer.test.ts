import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { StartupError } from '../../src/errors.js';
import { AuditSigner, openSigner } from '../../src/store/audit-signer.js';
import { temporaryDirectory } from '../support/temporary-directory.js';

/** The first key of RFC 8032 §7.1, as docs/audit.md has it; the signature was made by openssl. */
const FIXED_KEY = createPrivateKey({
  key: Buffer.from('MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g', 'base64'),
  format: 'der',
  type: 'pkcs8',
});
const FIXED_CONTENT = {
  sequence: 2,
  hash: 'fbf1da4afed4f0a05139bd3b295cc813031bce7791f48db2a52d1d9214cca287',
  timestamp: new Date('2026-01-02T03:05:05.007Z'),
};
const FIXED_CHECKPOINT = {
  ...FIXED_CONTENT,
  keyId: '21fe31dfa154a261',
  signature: 'KhXfEQ7T+nwSlIFBMQsRj9bIK7CSQ1z5tYlLX868lHZzFWC+9J9dqG7ZQAA29wUfbACBfwHyWaL2fBhxGOqFDQ==',
};

describe('the signer', () => {
  it('agrees with the test vector in docs/audit.md', () => {
    const signer = new AuditSigner(FIXED_KEY);

    expect(signer.sign(FIXED_CONTENT)).toEqual(FIXED_CHECKPOINT);
    const documented = readFileSync(new URL('../../docs/audit.md', import.meta.url), 'utf8');
    const { keyId, hash, signature } = FIXED_CHECKPOINT;
    const { x } = createPublicKey(FIXED_KEY).export({ format: 'jwk' });
    expect(documented).toContain(
      `{"hash":"${hash}","keyId":"${keyId}","sequence":2,"timestamp":"2026-01-02T03:05:05.007Z","version":1}`,
    );
    for (const text of [signature, keyId, x!]) expect(documented).toContain(text);
  });

  it('has the public key as a JWK, whose id is of the 32 bytes of the key, and no part of the private one', () => {
    const signer = new AuditSigner(FIXED_KEY);
    const { d, x } = FIXED_KEY.export({ format: 'jwk' });

    expect(signer.keySet).toEqual({
      keys: [{ kty: 'OKP', crv: 'Ed25519', x, kid: signer.keyId, use: 'sig', alg: 'EdDSA' }],
    });
    const raw = createHash('sha256').update(Buffer.from(x!, 'base64url')).digest('hex');
    expect(signer.keyId).toBe(raw.slice(0, 16));
    const printed = inspect(signer, { showHidden: true, depth: 9, customInspect: false }) + JSON.stringify(signer);
    expect(printed).toContain(x);
    for (const form of ['base64', 'base64url', 'hex'] as const) {
      expect(printed).not.toContain(Buffer.from(d!, 'base64url').toString(form).slice(0, 16));
    }
  });

  it.each([
    ['another sequence', { sequence: 3 }],
    ['another hash', { hash: 'ab'.repeat(32) }],
    ['another time', { timestamp: new Date('2026-01-02T03:05:05.008Z') }],
    ['another key', { keyId: '0000000000000000' }],
    ['another signature', { signature: FIXED_CHECKPOINT.signature.replace('K', 'L') }],
    ['the same signature in other letters', { signature: ` ${FIXED_CHECKPOINT.signature}` }],
    ['no signature', { signature: '' }],
  ])('does not take for its own what has %s', (_what, change) => {
    const signer = new AuditSigner(FIXED_KEY);

    expect(signer.hasSigned(FIXED_CHECKPOINT)).toBe(true);
    expect(signer.hasSigned({ ...FIXED_CHECKPOINT, ...change })).toBe(false);
  });

  it('does not take for its own what another key has signed', () => {
    const other = new AuditSigner(generateKeyPairSync('ed25519').privateKey);

    expect(new AuditSigner(FIXED_KEY).hasSigned({ ...other.sign(FIXED_CONTENT) })).toBe(false);
  });
});

describe('the key', () => {
  it('is the one that is configured, and then none is made', () => {
    const databasePath = join(temporaryDirectory(), 'test.db');

    expect(openSigner(FIXED_KEY, databasePath)?.keyId).toBe(FIXED_CHECKPOINT.keyId);
    expect(() => statSync(`${databasePath}.audit-key`)).toThrow('ENOENT');
  });

  it('is none where none is configured and none may be made', () => {
    expect(openSigner(null, null)).toBeNull();
  });

  it('is made beside the database for its owner alone, used again, and understood by others', () => {
    const databasePath = join(temporaryDirectory(), 'test.db');
    const signer = openSigner(null, databasePath)!;
    const path = `${databasePath}.audit-key`;

    expect(statSync(path).mode & 0o777).toBe(0o600);
    const pem = readFileSync(path, 'utf8');
    expect(openSigner(null, databasePath)?.keySet).toEqual(signer.keySet);
    expect(readFileSync(path, 'utf8')).toBe(pem);
    const { signature } = signer.sign(FIXED_CONTENT);
    const signed = Buffer.from(
      `{"hash":"${FIXED_CONTENT.hash}","keyId":"${signer.keyId}","sequence":2,"timestamp":"2026-01-02T03:05:05.007Z","version":1}`,
    );
    expect(verify(null, signed, createPublicKey(pem), Buffer.from(signature, 'base64'))).toBe(true);
  });

  it.each([
    ['is no key', 'canary-4711'],
    ['is empty', ''],
    ['is of another kind', generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey],
  ])('that %s stops the start, is left as it is, and is not repeated', (_what, content) => {
    const databasePath = join(temporaryDirectory(), 'test.db');
    const text = typeof content === 'string' ? content : content.export({ type: 'pkcs8', format: 'pem' }).toString();
    writeFileSync(`${databasePath}.audit-key`, text);
    const open = () => openSigner(null, databasePath);

    expect(open).toThrow(StartupError);
    expect(open).toThrow(`The key of the audit trail ${databasePath}.audit-key is not an Ed25519 key`);
    expect(open).not.toThrow('canary');
    expect(readFileSync(`${databasePath}.audit-key`, 'utf8')).toBe(text);
  });

  it('that cannot be read or made stops the start', () => {
    const directory = temporaryDirectory();
    mkdirSync(join(directory, 'test.db.audit-key'));

    expect(() => openSigner(null, join(directory, 'test.db'))).toThrow(StartupError);
    expect(() => openSigner(null, join(directory, 'nowhere', 'test.db'))).toThrow(
      /audit-key cannot be written: ENOENT/,
    );
  });
});
