import type { GraphQLError } from 'graphql';

/** A value that is repeated may be long, and made so that the words are looked for again and again. */
const MOST_CHARACTERS = 500;

/**
 * What graphql-js 16 and graphql-scalars say up to where they repeat a value. What follows a value is never looked for: a long
 * one hides it, and a hostile one holds the same words.
 */
const REPEATING: readonly [words: RegExp, instead: string][] = [
  [/^(\w+|Enum "\w+") cannot represent ([\w\s-]*value): .*/s, '$1 cannot represent $2.'],
  [/^(\w+ cannot represent (?:an? invalid [\w-]+string|non string or Date type)) .*/s, '$1.'],
  [/^(Expected value of type "[^"]*"), found .*/s, '$1.'],
  [/^(Argument "\w+" has invalid value) .*/s, '$1.'],
  // A token by its kind; punctuators alone have none, and stand in quotes where one was expected.
  [
    /^(Syntax Error: (?:Unexpected|Expected [^"]*(?:"[^"]{1,12}")?, found) (?:Name|Int|Float|String|BlockString)) ".*/s,
    '$1.',
  ],
  [/^(Syntax Error: Invalid (?:Unicode|character) escape sequence): .*/s, '$1.'],
  [/^(Unknown operation) named "(?![_A-Za-z]\w{0,63}"\.$).*/s, '$1.'],
];

/** The same where the name of a type comes after the value: it is read from the end, whatever the value says. */
const REPEATING_BEFORE: readonly [words: RegExp, end: RegExp, instead: string][] = [
  [/^Value "/, /" does not exist in ("\w{1,100}" enum\.)$/, 'The value does not exist in '],
  // Names are told, as those of a document are; but in JSON anything can be one.
  [
    /^Field "(?![_A-Za-z]\w{0,63}" is not defined by type "\w{1,100}"\.$)/,
    /" is not defined by type ("\w{1,100}"\.)$/,
    'A field is not defined by type ',
  ],
];

/** What graphql-js puts at the very end, of names that the schema has. */
const SUGGESTION_AT_END = / Did you mean (?:the enum value )?"\w{1,100}"(?:(?:,| or|, or) "\w{1,100}"){0,4}\?$/;

/**
 * The message of an error that graphql-js found in a document or its variables, without the values that it repeats: a
 * fingerprint or a key beside a slip would be in the log of whoever asked, and of every proxy in between.
 */
export function withoutValues({ message, originalError }: GraphQLError): string {
  const [, variable] = /^(Variable "\$\w+" got invalid value) /.exec(message) ?? [];
  if (variable === undefined) return withoutValue(message);
  const reason = originalError && message.endsWith(`; ${originalError.message}`) ? originalError.message : '';
  if (reason === '') return `${variable}.`;
  const [at = ''] = / at "[\w.[\]]+"$/.exec(message.slice(0, -`; ${reason}`.length).slice(-MOST_CHARACTERS)) ?? [];
  return `${variable}${at}; ${withoutValue(reason)}`;
}

function withoutValue(whole: string): string {
  const [suggestion = ''] = SUGGESTION_AT_END.exec(whole.slice(-2 * MOST_CHARACTERS)) ?? [];
  const said = suggestion === '' ? whole : whole.slice(0, -suggestion.length);
  for (const [words, end, instead] of REPEATING_BEFORE) {
    const [, type] = (words.test(said) && end.exec(said.slice(-MOST_CHARACTERS))) || [];
    if (type !== undefined) return instead + type + suggestion;
  }
  // Of what a scalar says in words of its own nothing is known.
  const [, expected] = /^(Expected type "\w+"\.) /.exec(said) ?? [];
  const own = said.slice(expected === undefined ? 0 : expected.length + 1).slice(0, MOST_CHARACTERS);
  for (const [words, instead] of REPEATING) {
    if (!words.test(own)) continue;
    return `${expected === undefined ? '' : `${expected} `}${own.replace(words, instead)}${suggestion}`;
  }
  return (expected ?? own) + suggestion;
}
