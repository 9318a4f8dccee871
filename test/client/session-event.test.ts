import 'reflect-metadata';
import { buildSchema, type GraphQLEnumType, type GraphQLObjectType } from 'graphql';
import { expect, it } from 'vitest';
import { DEFAULT_FIELDS, type SessionEventType } from '../../src/client/session-event.js';
import { printGraphqlSchema } from '../../src/graphql/schema.js';

const schema = buildSchema(printGraphqlSchema());
// A type that is missing here, or too many, does not compile.
const TYPES: Record<SessionEventType, true> = {
  SESSION_REQUESTED: true,
  SESSION_INITIATED: true,
  SESSION_REJECTED: true,
  SESSION_FAILED: true,
  SESSION_CRM_SYNCED: true,
  SESSION_CRM_SYNC_FAILED: true,
  SESSION_ENDED: true,
  SESSION_EXPIRED: true,
  SESSION_RECONCILED: true,
  WEBHOOK_ENDPOINT_FAILING: true,
  WEBHOOK_ENDPOINT_DISABLED: true,
  WEBHOOK_ENDPOINT_RESUMED: true,
};

it('the client knows every type of event that the server has', () => {
  const { values } = (schema.getType('SessionEventType') as GraphQLEnumType).toConfig();
  expect(Object.keys(TYPES).sort()).toEqual(Object.keys(values).sort());
});

it('the client asks for every field of an event but its session', () => {
  const fields = Object.keys((schema.getType('SessionEvent') as GraphQLObjectType).getFields());
  expect(DEFAULT_FIELDS.split(' ').sort()).toEqual(fields.filter((name) => name !== 'session').sort());
});
