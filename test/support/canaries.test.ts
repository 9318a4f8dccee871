import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { Canaries } from './canaries.js';

const canaries = new Canaries();
const { mark, apiKey, clientSecret, fingerprint, encryptionKey, signingKey, webhookKey } = canaries;
const inText = (text: string, encoding: BufferEncoding) => Buffer.from(`before, ${text}, after`).toString(encoding);
const escaped = (text: string) =>
  [...text].map((char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');

describe('the search for canaries', () => {
  it.each<[form: string, written: string | Buffer]>([
    ['as it is', `{"apiKey":"${apiKey}"}`],
    ['in upper case', apiKey.toUpperCase()],
    ['in part', clientSecret.slice(0, mark.length + 1)],
    ['in a form', new URLSearchParams({ fingerprint }).toString()],
    ['in a URL', encodeURIComponent(fingerprint)],
    ['in a URL, every byte escaped', Buffer.from(apiKey).toString('hex').replace(/../g, '%$&')],
    ['in JSON', JSON.stringify({ fingerprint })],
    ['in JSON, every character escaped', escaped(apiKey)],
    ['in JSON within JSON', JSON.stringify(escaped(apiKey))],
    ['in hex', inText(apiKey, 'hex')],
    ['in hex, upper case', inText(apiKey, 'hex').toUpperCase()],
    ...[0, 1, 2].map((offset): [string, string] => [
      `in base64, ${offset} beyond a multiple of three`,
      Buffer.from(`${'x'.repeat(offset)}${apiKey} and more`).toString('base64'),
    ]),
    ['in base64 for URLs', inText(apiKey, 'base64url')],
    ['in UTF-16', Buffer.from(apiKey, 'utf16le')],
    ['in UTF-16, the other way round', Buffer.from(apiKey, 'utf16le').swap16()],
    ['as bytes of the encryption key', Buffer.concat([Buffer.alloc(999, 0xff), encryptionKey, Buffer.alloc(999)])],
    ['as bytes of the signing key', Buffer.concat([Buffer.from([1, 2]), signingKey])],
    ['as the webhook key in its setting', canaries.env.CRM_WEBHOOK_SECRET ?? ''],
    ['as the encryption key in its setting', canaries.env.ENCRYPTION_KEY ?? ''],
    ['as the signing key in its setting', canaries.env.AUDIT_SIGNING_KEY ?? ''],
    ['as the webhook key in hex', webhookKey.toString('hex')],
    ['as an idempotency key', JSON.stringify([canaries.idempotencyKey()])],
    ['as a credential of CXone', `Bearer ${canaries.cxone.credentialMark}0123`],
  ])('finds one that is written %s', (_, written) => {
    expect(canaries.find('there', written)).toEqual([expect.stringMatching(/: ….*… in there$/s)]);
  });

  it('finds none in what is kept instead of them', () => {
    const kept = [
      createHash('sha256').update(apiKey).digest('hex'),
      canaries.env.API_KEYS,
      '[redacted]',
      new Canaries().apiKey,
      gzipSync('nothing').toString('latin1'),
    ];
    expect(kept.flatMap((text) => canaries.find('there', text ?? ''))).toEqual([]);
  });
});
