/** What is wrong with one member of a payload. */
export interface PayloadProblem {
  /** As in `routing.queueId`; empty for the payload as a whole. */
  path: string;
  message: string;
}

type Check = (value: unknown) => string | null;
type Shape = { readonly [field: string]: Check | Shape };

const GUEST_ID = /^(guest-)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const ISO_INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/;
const PRINTABLE = /^[^\p{Cc}\p{Cs}]*$/u;

const matching =
  (pattern: RegExp, what: string): Check =>
  (value) =>
    typeof value === 'string' && pattern.test(value) ? null : `must be ${what}`;

const text =
  (maxLength: number): Check =>
  (value) =>
    typeof value === 'string' && value !== '' && [...value].length <= maxLength && PRINTABLE.test(value)
      ? null
      : `must be 1 to ${maxLength} printable characters`;

const oneOf =
  (...allowed: readonly string[]): Check =>
  (value) =>
    allowed.includes(value as string) ? null : `must be ${allowed.map((entry) => `'${entry}'`).join(' or ')}`;

const instant: Check = (value) =>
  typeof value === 'string' && ISO_INSTANT.test(value) && !Number.isNaN(Date.parse(value))
    ? null
    : 'must be an ISO 8601 date and time with its offset';

/** Intl is slow, and a server asks for the same few languages again and again. */
const knownTags = new Set<string>();
const MAX_KNOWN_TAGS = 1000;

const languageTag: Check = (value) => {
  if (typeof value !== 'string') return 'must be a string';
  if (knownTags.has(value)) return null;
  try {
    Intl.getCanonicalLocales(value);
  } catch {
    return 'must be a BCP 47 language tag';
  }
  if (knownTags.size < MAX_KNOWN_TAGS) knownTags.add(value);
  return null;
};

const crmAccountId: Check = (value) => (value === null ? null : text(128)(value));

/** CXone's contract for `POST /api/v1/messaging/sessions`: every member, and no other. */
const SESSION_PAYLOAD: Shape = {
  guestId: matching(GUEST_ID, "a UUID or 'guest-' and a UUID, in lower case"),
  channel: oneOf('webchat', 'sms', 'whatsapp'),
  routing: {
    queueId: text(128),
    priority: oneOf('low', 'normal', 'high'),
    attributes: {
      sourceChannel: oneOf('automated_gateway'),
      crmAccountId,
      deviceFingerprint: text(512),
      timestamp: instant,
      requestId: text(128),
    },
  },
  metadata: {
    sessionType: oneOf('guest_initiated'),
    complianceFlag: oneOf('recorded'),
    languagePreference: languageTag,
  },
};

/** All that is wrong with the body of a session's POST; empty when nothing is. */
export function checkSessionPayload(payload: unknown): PayloadProblem[] {
  const problems: PayloadProblem[] = [];
  checkShape(payload, SESSION_PAYLOAD, '', problems);
  return problems;
}

function checkShape(value: unknown, shape: Shape, path: string, problems: PayloadProblem[]): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    problems.push({ path, message: 'must be a JSON object' });
    return;
  }
  const members = value as Record<string, unknown>;
  for (const field of Object.keys(members)) {
    if (!Object.hasOwn(shape, field))
      problems.push({ path: join(path, field), message: 'is not part of the contract' });
  }
  for (const [field, check] of Object.entries(shape)) {
    const at = join(path, field);
    if (!Object.hasOwn(members, field)) problems.push({ path: at, message: 'is missing' });
    else if (typeof check === 'object') checkShape(members[field], check, at, problems);
    else {
      const message = check(members[field]);
      if (message) problems.push({ path: at, message });
    }
  }
}

function join(path: string, field: string): string {
  return path === '' ? field : `${path}.${field}`;
}
