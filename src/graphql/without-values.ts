import type { GraphQLError } from 'graphql';

/** A value that is repeated may be long, and made so that the words are looked for again and again. */
const MOST_CHARACTERS = 500;

/** graphql-js' own words, up to where they repeat a value, and from there on. */
const REPEATING: readonly [words: RegExp, instead: string][] = [
  [/^(Expected type "[^"]*"\. )?(.*? cannot represent [\w\s-]*value): .*?( Did you mean .*)?$/s, '$1$2.$3'],
  [/^(Expected type "[^"]*"\. )?(\w+ cannot represent an? invalid [\w-]+) .*$/s, '$1$2.'],
  [/^Value ".*" does not exist in/s, 'The value does not exist in'],
  [/^(Expected value of type "[^"]*"), found .*?\.?( Did you mean .*)?$/s, '$1.$2'],
  [/^(Syntax Error: .*(?:Block)?String) ".*"/s, '$1'],
];

/**
 * The message of an error that graphql-js found in a document or its variables, without the values that it repeats: a
 * fingerprint or a key beside a slip would be in the log of whoever asked, and of every proxy in between.
 */
export function withoutValues({ message, originalError }: GraphQLError): string {
  const [, variable] = /^(Variable "\$\w+" got invalid value) /.exec(message) ?? [];
  if (variable === undefined) return withoutValue(message);
  const reason = originalError && message.endsWith(`; ${originalError.message}`) ? originalError.message : '';
  if (reason === '') return `${variable}.`;
  const [at = ''] = / at "[\w.[\]]+"$/.exec(message.slice(0, -`; ${reason}`.length)) ?? [];
  return `${variable}${at}; ${withoutValue(reason)}`;
}

const withoutValue = (whole: string): string => {
  const message = whole.slice(0, MOST_CHARACTERS);
  for (const [words, instead] of REPEATING) if (words.test(message)) return message.replace(words, instead);
  return message;
};
