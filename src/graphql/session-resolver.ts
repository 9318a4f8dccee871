import { Arg, Args, Ctx, FieldResolver, ID, Mutation, Query, Resolver, Root } from 'type-graphql';
import { maySee } from '../guest-session/may-see.js';
import type { GuestSessionRecord } from '../guest-session/ports.js';
import type { AuditRecord } from '../store/audit-chain.js';
import { Audit } from './audit-types.js';
import type { GraphqlContext } from './context.js';
import { badUserInput, searchable } from './error-format.js';
import { SessionEvent } from './event-types.js';
import { Authorized } from './field-roles.js';
import { asksTooOften, toCreatePayload, toEndPayload } from './mutation-payloads.js';
import { connectionOf, PageArgs, pageSize, sessionCursor, toConnection } from './relay.js';
import {
  CreateGuestSessionInput,
  CreateGuestSessionPayload,
  EndGuestSessionInput,
  EndGuestSessionPayload,
  GuestSession,
  SessionFilter,
} from './session-types.js';

const GuestSessionConnection = connectionOf(GuestSession, 'GuestSession', 'guest sessions');

@Resolver(() => GuestSession)
export class SessionResolver {
  @Authorized('GUEST', 'BACKEND', 'OPS')
  @Mutation(() => CreateGuestSessionPayload, {
    description:
      'Opens a guest session at CXone. What our rules or CXone say no to is in `userErrors`; HTTP stays 200.',
  })
  async createGuestSession(
    @Arg('input', () => CreateGuestSessionInput, { description: 'For whom, and how.' }) input: CreateGuestSessionInput,
    @Ctx() { services, caller, idempotencyKeyHeader, limitCreation, connection }: GraphqlContext,
  ) {
    const { deviceFingerprint: fingerprint, idempotencyKey } = input;
    const asked = { fingerprint, idempotencyKey: idempotencyKey ?? idempotencyKeyHeader };
    const request = { ...input, idempotencyKeyHeader, connection };
    const answer = await limitCreation(asked, () => services.open(request, caller));
    return typeof answer === 'number' ? asksTooOften(answer) : toCreatePayload(answer);
  }

  @Authorized('GUEST', 'BACKEND', 'OPS')
  @Mutation(() => EndGuestSessionPayload, {
    description:
      'Ends a guest session, at CXone and here, and frees its place. To end it again changes nothing. A key with the role ' +
      'GUEST ends what it has opened.',
  })
  async endGuestSession(
    @Arg('input', () => EndGuestSessionInput, { description: 'Which one, and why.' }) input: EndGuestSessionInput,
    @Ctx() { services, caller }: GraphqlContext,
  ) {
    const { id, sessionId, reason } = input;
    const request = { id: searchable(id, 'id'), sessionId: searchable(sessionId, 'sessionId'), reason };
    return toEndPayload(await services.end(request, caller));
  }

  @Authorized('GUEST', 'BACKEND', 'CRM', 'OPS')
  @Query(() => GuestSession, {
    nullable: true,
    description:
      'One session, by our id or by CXone’s; null where there is none. For a key with the role GUEST there are none but those ' +
      'that it has opened.',
  })
  async session(
    @Ctx() { services, caller }: GraphqlContext,
    @Arg('id', () => ID, { nullable: true, description: 'Our id: the request id that opened it.' }) id?: string,
    @Arg('sessionId', () => String, { nullable: true, description: 'The id at CXone.' }) sessionId?: string,
  ) {
    if ((id == null) === (sessionId == null)) throw badUserInput('Give either "id" or "sessionId".');
    const found =
      id != null
        ? await services.sessions.byId(searchable(id, 'id'))
        : await services.sessions.bySessionId(searchable(sessionId ?? '', 'sessionId'));
    return found && maySee(caller, found) ? found : null;
  }

  @Authorized('BACKEND', 'CRM', 'OPS')
  @Query(() => GuestSessionConnection, { description: 'Sessions, newest first.' })
  async sessions(
    @Ctx() { services }: GraphqlContext,
    @Args(() => PageArgs) { first, after }: PageArgs,
    @Arg('filter', () => SessionFilter, { nullable: true, description: 'Which ones; all by default.' })
    filter?: SessionFilter,
  ) {
    const position = after == null ? null : sessionCursor.read(after);
    const guestId = searchable(filter?.guestId?.toLowerCase(), 'guestId');
    const criteria = { ...filter, guestId, crmId: searchable(filter?.crmId, 'crmId') };
    return toConnection(await services.sessions.page(criteria, pageSize(first), position), sessionCursor.of, after);
  }

  @FieldResolver(() => ID, {
    description: 'The request id of the attempt: in audits, events, and the `X-Request-Id` that CXone got.',
  })
  requestId(@Root() session: GuestSessionRecord) {
    return session.id;
  }

  @Authorized('OPS')
  @FieldResolver(() => [Audit], { description: 'What the audit trail says of it, oldest first.' })
  audits(@Root() session: GuestSessionRecord, @Ctx() { loaders }: GraphqlContext): Promise<AuditRecord[]> {
    return loaders.audits.load(session.id);
  }

  @Authorized('BACKEND', 'CRM', 'OPS')
  @FieldResolver(() => [SessionEvent], { description: 'What happened to it, oldest first.' })
  events(@Root() session: GuestSessionRecord, @Ctx() { loaders }: GraphqlContext) {
    return loaders.events.load(session.id);
  }
}
