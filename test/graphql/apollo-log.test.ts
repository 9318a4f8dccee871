import { GraphQLError, parse } from 'graphql';
import { expect, it } from 'vitest';
import { apolloLog } from '../../src/graphql/apollo-log.js';

const said = (message: unknown) => {
  const lines: [fields: object, message: string][] = [];
  const logger = apolloLog({ error: (...line) => lines.push(line) });
  logger.error(message);
  logger.warn(message);
  logger.info(message);
  logger.debug(message);
  return lines;
};

it('what Apollo says of a fault is in the log without the document that it was found in', () => {
  const document = parse('subscription { sessionEvents(guestId: "canary4711") @skip { id } }');
  const fault = new GraphQLError('It throws.', { nodes: document.definitions });
  expect(String(fault)).toContain('canary4711');

  const line = [{ reason: 'Unexpected error processing request: It throws.' }, 'Apollo Server reports'];
  expect(said(`Unexpected error processing request: ${fault}`)).toEqual([line, line]);
});

it.each([
  'Unexpected error: Argument "input" has invalid value { deviceFingerprint: "canary4711" }.',
  'Unexpected error: { deviceFingerprint: canary4711 }',
  'Unexpected error: [canary4711]',
  `Unexpected error: \n${'canary4711'.repeat(1_000)}`,
])('nor with a value that is repeated: %#', (message) => {
  expect(JSON.stringify(said(message))).toContain('Unexpected error: ');
  expect(JSON.stringify(said(message))).not.toContain('canary');
});
