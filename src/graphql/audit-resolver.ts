import { Arg, Args, Ctx, Int, Query, Resolver } from 'type-graphql';
import { Audit, AuditFilter, AuditVerification } from './audit-types.js';
import type { GraphqlContext } from './context.js';
import { badUserInput, searchable } from './error-format.js';
import { Authorized } from './field-roles.js';
import { auditCursor, connectionOf, PageArgs, pageSize, toConnection } from './relay.js';

const AuditConnection = connectionOf(Audit, 'Audit', 'audit entries');

@Resolver()
export class AuditResolver {
  @Authorized('OPS')
  @Query(() => AuditConnection, { description: 'The audit trail, newest first.' })
  async audits(
    @Ctx() { services }: GraphqlContext,
    @Args(() => PageArgs) { first, after }: PageArgs,
    @Arg('filter', () => AuditFilter, { nullable: true, description: 'Which entries; all by default.' })
    filter?: AuditFilter,
  ) {
    const position = after == null ? null : auditCursor.read(after);
    const guestId = searchable(filter?.guestId?.toLowerCase(), 'guestId');
    const criteria = { ...filter, guestId, requestId: searchable(filter?.requestId, 'requestId') };
    return toConnection(await services.audits.page(criteria, pageSize(first), position), auditCursor.of, after);
  }

  @Authorized('OPS')
  @Query(() => AuditVerification, {
    description:
      'Follows the chain of hashes, checks the signed checkpoints, and says whether any entry was changed, removed or put in between.',
  })
  verifyAuditTrail(
    @Ctx() { services }: GraphqlContext,
    @Arg('from', () => Int, { nullable: true, description: 'The first sequence; by default 1.' }) from?: number,
    @Arg('to', () => Int, { nullable: true, description: 'The last sequence; by default the newest.' }) to?: number,
  ) {
    if (from != null && from < 1) throw badUserInput('"from" must be at least 1.');
    if (to != null && to < (from ?? 1)) throw badUserInput('"to" must not be before "from".');
    return services.audits.verify(from ?? undefined, to ?? undefined);
  }
}
