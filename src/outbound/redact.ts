const NAME = String.raw`(?:token|secret|passw(?:or)?d|authorization|credential|api[-_]?key|cookie|jwt)[\w-]{0,40}`;
const QUOTES = String.raw`(?:[\\"']|%22|%5C){0,8}`;
const SPACE = String.raw`(?:\s|%20|\+){0,4}`;
/** Between a name and its value, in JSON (also within JSON), in headers, forms, URLs, XML and attributes. */
const SEPARATOR = `${QUOTES}(?:${SPACE}(?:[:=]|%3A|%3D)|>)${SPACE}${QUOTES}`;
/** What follows a name in a sentence about it. */
const WORD = String.raw`(?:signature|required|missing|invalid|malformed|expired|revoked|unknown|unsupported|mismatch|not|is|was|must)(?=[.,;:)]?(?:[\s"'<}]|$))`;

/**
 * What stands behind the name of a credential, such as the token of a session that exists already. All that could match in
 * many ways is bounded: the time is linear in the length of the text.
 */
const NAMED = new RegExp(`(${NAME}${SEPARATOR}(?:(?:Bearer|Basic|Token)\\s{1,4})?)(?!${WORD})[^\\s"'<>&,;}]+`, 'gi');
/** A whole JSON string behind such a name, whatever it holds. */
const MEMBER = new RegExp(`("(?=[^"]*${NAME})[^"]*"\\s*:\\s*)"(?:[^"\\\\]|\\\\.)*"?`, 'gi');
/** Where a JSON object or list begins behind such a name, also in JSON within JSON. */
const NESTED = new RegExp(`${NAME}(\\\\{0,8}["'])\\s{0,4}:\\s{0,4}(?=[[{])`, 'gi');
/** What could hold a JSON Web Token (RFC 7519): parts of base64url between dots. */
const PARTS = /(?<![\w.-])[\w-]+\.[\w.-]+/g;
/** RFC 6750 and RFC 7617, without a name before it; short words are what somebody says about them. */
const SCHEME = /\b((?:Bearer|Basic)(?:\s|%20|\+){1,4})[^\s"'<>&,;]{16,}/gi;

/**
 * The text of an answer without the credentials that it repeats: error pages of upstreams echo requests, and even whole
 * sessions.
 * @param secrets what was sent and must not be kept
 */
export function redacted(text: string, secrets: readonly string[] = []): string {
  return withoutNested(withoutSecrets(text, secrets))
    .replace(PARTS, withoutJwt)
    .replace(MEMBER, `$1"${REDACTED}"`)
    .replace(SCHEME, `$1${REDACTED}`)
    .replace(NAMED, `$1${REDACTED}`);
}

function withoutNested(text: string): string {
  let safe = '';
  let end = 0;
  for (const { 0: name, 1: quote = '', index } of text.matchAll(NESTED)) {
    if (index < end) continue;
    const start = index + name.length;
    safe += `${text.slice(end, start)}"${REDACTED}"`;
    end = endOfNested(text, start, quote);
  }
  return safe + text.slice(end);
}

/**
 * Behind the bracket that closes the one at the start; the end of a text that was cut off.
 * @param quote as its strings have it, with so many backslashes before it: none in JSON, one in JSON within JSON, then three
 */
function endOfNested(text: string, start: number, quote: string): number {
  const escapes = quote.length - 1;
  let depth = 0;
  let isInString = false;
  let backslashes = 0;
  for (let at = start; at < text.length; at += 1) {
    const character = text[at];
    if (character === '\\') {
      backslashes += 1;
      continue;
    }
    const isQuote = character === quote.at(-1) && backslashes % (2 * (escapes + 1)) === escapes;
    backslashes = 0;
    if (isQuote) isInString = !isInString;
    else if (isInString) continue;
    else if (character === '{' || character === '[') depth += 1;
    else if (character === '}' || character === ']') depth -= 1;
    if (depth === 0) return at + 1;
  }
  return text.length;
}

/** The header of a JSON Web Token is a JSON object, and so begins with the same letters. */
function withoutJwt(parts: string): string {
  const start = parts.indexOf('eyJ');
  if (start === -1 || parts.indexOf('.', parts.indexOf('.', start) + 1) === -1) return parts;
  return parts.slice(0, start) + REDACTED;
}

/** The text with something instead of each of these values, in whatever form it has them. */
export function withoutSecrets(text: string, secrets: readonly string[], instead = REDACTED): string {
  // The longest first: one form may be the beginning of another.
  const forms = [...new Set(secrets.flatMap(formsOf))].sort((one, other) => other.length - one.length);
  return forms.reduce((safe, form) => safe.replaceAll(wherever(form), () => instead), text);
}

/** Short values are found in what has nothing to do with them, and so are taken only where they stand by themselves. */
function wherever(form: string): string | RegExp {
  if (form.length >= LEAST_DISTINCT) return form;
  const literal = form.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
  return new RegExp(`(?<![\\p{L}\\p{N}_])${literal}(?![\\p{L}\\p{N}_])`, 'gu');
}

const LEAST_DISTINCT = 8;

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
