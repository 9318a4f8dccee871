import { AttemptError, type FieldProblem } from '../errors.js';
import { COUNTRY_CODES } from './country-codes.js';
import {
  Channel,
  type CreateGuestSessionRequest,
  type GuestId,
  type Ports,
  RoutingPriority,
  type ValidRequest,
} from './ports.js';

const GUEST_ID = /^(guest-)?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const PRINTABLE = /^[\p{L}\p{M}\p{N}\p{P}\p{S}\p{Zs}]*$/u;
const MAX_FINGERPRINT_LENGTH = 512;
const MAX_ID_LENGTH = 128;
const MAX_IDEMPOTENCY_KEY_LENGTH = 255;
const MAX_LANGUAGE_TAG_LENGTH = 35; // RFC 5646 §4.4.1

/**
 * Checks a request before any I/O, and gives it its one form.
 * @throws AttemptError INVALID_INPUT with everything that is wrong; the values themselves are not repeated
 */
export function validateRequest(
  request: CreateGuestSessionRequest,
  { defaultQueueId }: Pick<Ports['rules'], 'defaultQueueId'>,
): ValidRequest {
  const problems: FieldProblem[] = [];
  const require = (holds: boolean, message: string, ...field: string[]): void => {
    if (!holds) problems.push({ field: ['input', ...field], message });
  };

  const guestId = guestIdOf(request.guestId);
  require(guestId !== null, NO_GUEST_ID, 'guestId');

  const { deviceFingerprint } = request;
  require(isPrintable(
    deviceFingerprint,
    MAX_FINGERPRINT_LENGTH,
  ), `must be 1 to ${MAX_FINGERPRINT_LENGTH} printable characters`, 'deviceFingerprint');

  const crmId = request.crmId ?? null;
  require(crmId === null ||
    isPrintable(crmId, MAX_ID_LENGTH), `must be 1 to ${MAX_ID_LENGTH} printable characters`, 'crmId');

  const queueId = request.queueId ?? defaultQueueId;
  require(isPrintable(queueId, MAX_ID_LENGTH), `must be 1 to ${MAX_ID_LENGTH} printable characters`, 'queueId');

  const channel = request.channel ?? 'WEBCHAT';
  require(isOneOf(Channel, channel), `must be one of ${Object.keys(Channel).join(', ')}`, 'channel');

  const priority = request.priority ?? 'NORMAL';
  require(isOneOf(RoutingPriority, priority), `must be one of ${Object.keys(RoutingPriority).join(', ')}`, 'priority');

  const languagePreference = canonicalLanguageTag(request.languagePreference ?? 'en-US');
  require(languagePreference !== null, 'must be a BCP 47 language tag, such as "en-US"', 'languagePreference');

  const isProxy = request.ipMetadata?.isProxy ?? false;
  require(typeof isProxy === 'boolean', 'must be true or false', 'ipMetadata', 'isProxy');

  const givenCountry = request.ipMetadata?.country ?? null;
  const country = givenCountry === null ? null : text(givenCountry).toUpperCase();
  require(country === null ||
    COUNTRY_CODES.has(country), 'must be an ISO 3166-1 alpha-2 country code, such as "US"', 'ipMetadata', 'country');

  const { idempotencyKey: keyField = null, idempotencyKeyHeader: keyHeader = null } = request;
  const idempotencyKey = keyField ?? keyHeader;
  require(idempotencyKey === null ||
    isPrintable(
      idempotencyKey,
      MAX_IDEMPOTENCY_KEY_LENGTH,
    ), `must be 1 to ${MAX_IDEMPOTENCY_KEY_LENGTH} printable characters`, 'idempotencyKey');
  require(keyField === null ||
    keyHeader === null ||
    keyField ===
      keyHeader, 'must be the same as in the header Idempotency-Key, where both are given', 'idempotencyKey');

  if (problems.length > 0 || guestId === null || languagePreference === null) {
    const detail = problems.map(({ field, message }) => `${field.join('.')} ${message}`).join('; ');
    throw new AttemptError('INVALID_INPUT', { problems, detail });
  }
  return {
    guestId,
    deviceFingerprint,
    crmId,
    channel,
    priority,
    queueId,
    languagePreference,
    isProxy,
    country,
    idempotencyKey,
  };
}

/** What is said of what is no id of a guest. */
export const NO_GUEST_ID = 'must be a UUID, or "guest-" and a UUID';

/** A guest's id in its one form; null for what is none. */
export function guestIdOf(value: unknown): GuestId | null {
  const guestId = text(value).toLowerCase();
  return GUEST_ID.test(guestId) ? (guestId as GuestId) : null;
}

// Library callers are not held to our types at run time.
const text = (value: unknown): string => (typeof value === 'string' ? value : '');

const isOneOf = (values: object, value: unknown): boolean => typeof value === 'string' && Object.hasOwn(values, value);

/** Whether a value is text that can be shown, of 1 to `maxLength` characters. */
export const isPrintable = (value: unknown, maxLength: number): boolean =>
  typeof value === 'string' && value.trim() !== '' && value.length <= maxLength && PRINTABLE.test(value);

const canonicalTags = new Map<string, string | null>();
const MAX_KNOWN_TAGS = 1_000;

/** Null for what is no language tag. Few are ever used, and canonicalising is dear, so answers are remembered. */
function canonicalLanguageTag(tag: unknown): string | null {
  if (typeof tag !== 'string' || tag.length > MAX_LANGUAGE_TAG_LENGTH) return null;
  const known = canonicalTags.get(tag);
  if (known !== undefined) return known;
  if (canonicalTags.size >= MAX_KNOWN_TAGS) canonicalTags.clear();
  const canonical = canonicalise(tag);
  canonicalTags.set(tag, canonical);
  return canonical;
}

function canonicalise(tag: string): string | null {
  try {
    return Intl.getCanonicalLocales(tag)[0] ?? null;
  } catch {
    return null;
  }
}
