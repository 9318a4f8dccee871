import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type { CxoneSandboxOptions } from '../../src/sandbox/cxone-sandbox.js';

/** What makes an Ed25519 seed a private key in PKCS#8 (RFC 8410 §7). */
const PKCS8_OF_SEED = Buffer.from('302e020100300506032b657004220420', 'hex');

/**
 * Secrets of every kind that all hold the same mark, so that one search finds whichever of them was written down, or a part of
 * it. After the mark come characters that JSON, forms and URLs write differently, which is how a redaction misses them.
 */
export class Canaries {
  readonly mark = `canary${randomBytes(5).toString('hex')}`;
  readonly apiKey = `${this.mark}.api-key`;
  readonly clientSecret = `${this.mark} client/secret+="&%`;
  readonly fingerprint = `${this.mark} fingerprint/+"\\é`;
  readonly encryptionKey = this.#key('encryption key');
  readonly signingKey = this.#key('signing key');
  readonly webhookKey = this.#key('webhook key');

  /** Settings that plant them. */
  get env(): Record<string, string> {
    const sha256 = createHash('sha256').update(this.apiKey).digest('hex');
    return {
      API_KEYS: JSON.stringify([{ name: 'ops', role: 'OPS', sha256 }]),
      RATE_LIMITS: 'off', // all is done with one key, and for one device
      ENCRYPTION_KEY: this.encryptionKey.toString('base64'),
      AUDIT_SIGNING_KEY: Buffer.concat([PKCS8_OF_SEED, this.signingKey]).toString('base64'),
      CRM_WEBHOOK_SECRET: `whsec_${this.webhookKey.toString('base64')}`,
      // Of what is scored, the fingerprint is another one than usual.
      FRAUD_THRESHOLD: '100',
      LOG_LEVEL: 'trace',
    };
  }

  /** A CXone whose secret is one, and whose bearers and guests' tokens are. */
  get cxone(): CxoneSandboxOptions {
    return { clientSecret: this.clientSecret, credentialMark: `${this.mark}/+"` };
  }

  get headers(): { authorization: string } {
    return { authorization: `Bearer ${this.apiKey}` };
  }

  /** A key of an intent; the same for the same. */
  idempotencyKey(of: string = randomUUID()): string {
    return `${this.mark} intent ${of}`;
  }

  /** Says where a text or a file has one of them, and how it is written there; nothing where there is none. */
  find(place: string, written: string | Buffer): string[] {
    return findMark(this.mark, written).map((found) => `${found} in ${place}`);
  }

  #key(what: string): Buffer {
    return Buffer.from(`${this.mark} ${what}`.slice(0, 32).padEnd(32, '.'));
  }
}

/** The places where a mark is written, in whichever form: each as the form and what stands around it. */
function findMark(mark: string, written: string | Buffer): string[] {
  const bytes = Buffer.isBuffer(written) ? written.toString('latin1') : written;
  return Object.entries(readings(mark, bytes)).flatMap(([reading, text]) =>
    Object.entries(formsOf(mark)).flatMap(([form, needles]) =>
      needles.flatMap((needle) => {
        const at = text.indexOf(needle);
        return at < 0 ? [] : [`${form}${reading}: …${text.slice(Math.max(0, at - 60), at + needle.length + 40)}…`];
      }),
    ),
  );
}

/** How a mark, which is of lower case letters and digits, is written in other alphabets. */
function formsOf(mark: string): Record<string, string[]> {
  const hex = Buffer.from(mark).toString('hex');
  return {
    'plain text': [mark, mark.toUpperCase()],
    hex: [hex, hex.toUpperCase()],
    base64: [0, 1, 2].map((offset) => inBase64(mark, offset)),
  };
}

/** What of the base64 of a longer text, at so many bytes beyond a multiple of three, is that of the mark alone. */
function inBase64(mark: string, offset: number): string {
  const whole = Buffer.from('.'.repeat(offset) + mark).toString('base64');
  return whole.slice(Math.ceil((offset * 8) / 6), Math.floor(((offset + mark.length) * 8) / 6));
}

/**
 * What is written, and what it says when escapes are undone. Of a whole database each reading is a long text: those are left
 * out that cannot have what is looked for.
 */
function readings(mark: string, text: string): Record<string, string> {
  const [first = '', second = ''] = mark;
  const code = first.charCodeAt(0).toString(16);
  const fromHex = (_: string, hex: string) => String.fromCharCode(Number.parseInt(hex, 16));
  const hasUtf16 = text.includes(`${first}\0${second}`);
  const hasJson = text.includes(`\\u00${code}`);
  const hasPercent = text.includes(`%${code}`);
  return {
    '': text,
    ...(hasUtf16 && { ' in UTF-16': text.replaceAll('\0', '') }),
    // Also escapes within escapes.
    ...(hasJson && { ' with JSON escapes': text.replace(/\\+u([0-9a-f]{4})/gi, fromHex) }),
    ...(hasPercent && { ' with percent escapes': text.replace(/%([0-9a-f]{2})/gi, fromHex) }),
  };
}
