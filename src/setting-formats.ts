import { createPrivateKey, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { WEBHOOK_EVENT_TYPES, webhookEventName } from './guest-session/session-event.js';

/** Where a test may have the process die. */
export const CRASH_POINTS = [
  'after-reserve',
  'before-post',
  'after-post',
  'before-close',
  'after-close',
  'before-webhook',
  'after-webhook',
] as const;

/** A whole number within bounds. */
export const whole = (least: number, most: number) =>
  z.coerce
    .number<string>('must be a whole number')
    .int('must be a whole number')
    .min(least, `must be at least ${least}`)
    .max(most, `must be at most ${most}`);

/** What one GraphQL request may ask for; README says how each is counted. */
export interface RequestLimits {
  readonly tokens: number;
  readonly operations: number;
  readonly fragments: number;
  readonly depth: number;
  readonly aliases: number;
  readonly directives: number;
  readonly cost: number;
}

/** The settings `MAX_QUERY_…` as what they limit. */
export const requestLimits = (
  env: { readonly [Limit in keyof RequestLimits as `MAX_QUERY_${Uppercase<Limit>}`]: number },
): RequestLimits => ({
  tokens: env.MAX_QUERY_TOKENS,
  operations: env.MAX_QUERY_OPERATIONS,
  fragments: env.MAX_QUERY_FRAGMENTS,
  depth: env.MAX_QUERY_DEPTH,
  aliases: env.MAX_QUERY_ALIASES,
  directives: env.MAX_QUERY_DIRECTIVES,
  cost: env.MAX_QUERY_COST,
});

/** An address that can be called. */
export const httpUrl = z
  .url({ protocol: /^https?$/, error: 'must be an http:// or https:// URL' })
  .refine(
    (url) => !URL.canParse(url) || new URL(url).username + new URL(url).password === '',
    'must not hold a user name or password: they would be logged and lost',
  );
/** An address that paths are put behind. */
export const baseUrl = httpUrl.refine((url) => !/[?#]/.test(url), 'must have no query and no fragment');

const NO_KEY = 'must be 32 bytes, in base64 (openssl rand -base64 32)';
/** 32 bytes in base64. */
export const encryptionKey = z
  .base64(NO_KEY)
  .transform((text) => Buffer.from(text, 'base64'))
  .refine((key) => key.length === 32, NO_KEY);
/** Such keys, comma-separated. */
export const encryptionKeys = z
  .string()
  .transform((list) => list.split(',').map((item) => item.trim()))
  .pipe(z.array(encryptionKey));

/** `AUDIT_SIGNING_KEY`: an Ed25519 private key as PKCS#8, in PEM or DER in base64. */
export const signingKey = z.string().transform((text, context) => {
  const key = readPrivateKey(text.trim());
  if (key?.asymmetricKeyType === 'ed25519') return key;
  context.addIssue({
    code: 'custom',
    message:
      'must be an Ed25519 private key, as PEM or PKCS#8 in base64 (openssl genpkey -algorithm ed25519 -outform DER | base64 -w0)',
  });
  return z.NEVER;
});

function readPrivateKey(text: string): KeyObject | null {
  try {
    if (text.startsWith('-----BEGIN')) return createPrivateKey(text);
    if (!z.base64().safeParse(text).success) return null;
    return createPrivateKey({ key: Buffer.from(text, 'base64'), format: 'der', type: 'pkcs8' });
  } catch {
    return null; // what the parser says may hold a part of the key
  }
}

const amount = (unit: string, most: number) =>
  z.coerce
    .number<string>(`must be a number of ${unit}`)
    .gt(0, 'must be more than 0')
    .max(most, `must be at most ${most}`);
/** More than 0, and at most a year. */
export const hours = amount('hours', 8760);
/** More than 0, and at most ten years. */
export const days = amount('days', 3650);

/** Seconds, comma-separated. */
export const retrySchedule = z
  .string()
  .transform((list) => list.split(',').map((item) => item.trim()))
  .pipe(
    z
      .array(
        z
          .string()
          .regex(/^\d+(\.\d+)?$/, 'must be a number of seconds')
          .transform(Number)
          .pipe(z.number().max(604_800)),
      )
      .max(50),
  );

/** Standard Webhooks secrets, comma-separated. */
export const webhookSecrets = z
  .string()
  .transform((list) => list.split(',').map((item) => item.trim()))
  .pipe(z.array(z.string().regex(/^whsec_[A-Za-z0-9+/=]{32,}$/, 'must be whsec_ and 24 or more bytes in base64')));

const TYPE_BY_NAME = new Map(WEBHOOK_EVENT_TYPES.map((type) => [webhookEventName(type), type]));
/** Names of events that the CRM is told of, comma-separated. */
export const webhookEvents = z
  .string()
  .transform((list) => list.split(',').map((item) => item.trim()))
  .pipe(
    z.array(
      z.string().transform((name, context) => {
        const type = TYPE_BY_NAME.get(name);
        if (type) return type;
        context.addIssue({ code: 'custom', message: `must be one of ${[...TYPE_BY_NAME.keys()].join(', ')}` });
        return z.NEVER;
      }),
    ),
  );
