const NAME = String.raw`(?:token|secret|passw(?:or)?d|authorization|credential|api[-_]?key|cookie|jwt)[\w-]{0,40}`;
const QUOTES = String.raw`(?:[\\"']|%22|%5C){0,8}`;
const SPACE = String.raw`(?:\s|%20|\+){0,4}`;
/** Between a name and its value, in JSON (also within JSON), in headers, forms, URLs, XML and attributes. */
const SEPARATOR = `${QUOTES}${SPACE}(?:[:=>]|%3A|%3D)${SPACE}${QUOTES}`;

/**
 * What stands behind the name of a credential, such as the token of a session that exists already. All that could match in
 * many ways is bounded: the time is linear in the length of the text.
 */
const NAMED = new RegExp(`(${NAME}${SEPARATOR}(?:(?:Bearer|Basic)\\s{1,4})?)[^\\s"'<>&,;}]+`, 'gi');
/** A whole JSON string behind such a name, whatever it holds. */
const MEMBER = new RegExp(`("(?=[^"]*${NAME})[^"]*"\\s*:\\s*)"(?:[^"\\\\]|\\\\.)*"?`, 'gi');
/** RFC 6750 and RFC 7617, without a name before it; short words are what somebody says about them. */
const SCHEME = /\b((?:Bearer|Basic)(?:\s|%20|\+){1,4})[^\s"'<>&,;]{16,}/gi;

/**
 * The text of an answer without the credentials that it repeats: error pages of upstreams echo requests, and even whole
 * sessions.
 * @param secrets what was sent and must not be kept
 */
export function redacted(text: string, secrets: readonly string[] = []): string {
  return withoutSecrets(text, secrets)
    .replace(MEMBER, `$1"${REDACTED}"`)
    .replace(SCHEME, `$1${REDACTED}`)
    .replace(NAMED, `$1${REDACTED}`);
}

/** The text with something instead of each of these values, in whatever form it has them. */
export function withoutSecrets(text: string, secrets: readonly string[], instead = REDACTED): string {
  // The longest first: one form may be the beginning of another.
  const forms = [...new Set(secrets.flatMap(formsOf))].sort((one, other) => other.length - one.length);
  return forms.reduce((safe, form) => safe.replaceAll(form, () => instead), text);
}

const REDACTED = '[redacted]';

/** A value as it is, and as JSON, JSON within JSON, a form, a URL, hex and base64 carry it. */
function formsOf(value: string): string[] {
  if (value === '') return [];
  const asForm = new URLSearchParams([['', value]]).toString().slice(1);
  const asJson = JSON.stringify(value).slice(1, -1);
  const inJson = JSON.stringify(asJson).slice(1, -1);
  const bytes = Buffer.from(value);
  const encoded = bytes.length < LEAST_ENCODED ? [] : [bytes.toString('hex'), base64Of(bytes), base64Of(bytes, 'url')];
  return [
    value,
    asJson,
    inJson,
    asForm,
    encodeURIComponent(value),
    encodeURIComponent(asForm),
    encodeURIComponent(asJson),
    ...encoded,
  ];
}

/** Shorter ones are found in what has nothing to do with them. */
const LEAST_ENCODED = 6;

const base64Of = (bytes: Buffer, url: 'url' | '' = ''): string => bytes.toString(`base64${url}`).replace(/=+$/, '');
