import { expect, test } from 'vitest';
import { describe as describeAnswer } from '../../src/cxone/read-answer.js';

const answer = (text: string) => ({ status: 409, retryAfter: null, text });

test('the credential of a session that exists already is not repeated', () => {
  const text = describeAnswer(
    answer('{"sessionId":"cxs_1","clientToken" : "ctk_\\"1", "api_secret":"s3","note":"kept"}'),
  );

  expect(text).toBe(
    'CXone answered 409: {"sessionId":"cxs_1","clientToken" : "[redacted]", "api_secret":"[redacted]","note":"kept"}',
  );
});

test('nor where the answer is broken off or no JSON', () => {
  expect(describeAnswer(answer('{"x":"open {"token":"abc"}'))).not.toContain('abc');
  expect(describeAnswer(answer('{"token":"abc'))).not.toContain('abc');
});

// With a pattern that goes back over the same text again and again this takes hours, not milliseconds.
test('a long answer full of words that look like credentials is described all the same', () => {
  expect(describeAnswer(answer(`"${'token '.repeat(150_000)}`))).toMatch(/^CXone answered 409: "token token/);
});
