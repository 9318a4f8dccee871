import { Field, Float, ID, InputType, Int, ObjectType } from 'type-graphql';
import { ErrorCode } from '../errors.js';
import { AuditKind, AuditStatus } from '../store/audit-chain.js';
import type { AuditFilter as AuditCriteria } from '../store/audit-reader.js';
import type { AuditVerification as Verification } from '../store/verify-audit-trail.js';

@ObjectType({
  description:
    'One entry of the audit trail: written once, never changed, chained to the one before it. There is one for every attempt ' +
    'to open a session, every answer that was given again, every order to end a session that was carried out or refused, ' +
    'for whoever was turned away, and for each change of the API keys.',
  simpleResolvers: true,
})
export class Audit {
  @Field(() => Int, { description: 'Position in the trail, from 1, without gaps.' })
  sequence!: number;

  @Field(() => ID, { description: 'The id of the entry.' })
  id!: string;

  @Field(() => Date, { description: 'When it was written, by the clock of the server.' })
  timestamp!: Date;

  @Field(() => ID, { description: 'The attempt that it is about; where it is about none, an id of its own.' })
  requestId!: string;

  @Field(() => AuditKind, { description: 'What it records.' })
  kind!: AuditKind;

  @Field(() => AuditStatus, { description: 'How that ended.' })
  status!: AuditStatus;

  @Field(() => String, { nullable: true, description: 'Why, in the words of whoever refused.' })
  reason!: string | null;

  @Field(() => ErrorCode, { nullable: true, description: 'The error code that the caller got.' })
  errorCode!: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'The guest; null where the request had none that could be read.',
  })
  guestId!: string | null;

  @Field(() => String, { nullable: true, description: "The guest's account in the CRM." })
  crmId!: string | null;

  @Field(() => Boolean, {
    description: 'Whether it is about a guest that was erased: then the guest, its ids and the reason are gone.',
  })
  erased!: boolean;

  @Field(() => String, { nullable: true, description: "The session's id at CXone." })
  sessionId!: string | null;

  @Field(() => String, {
    description:
      'Who caused it: the name of an API key, the part of the server, or `anonymous` for somebody without a valid key.',
  })
  actor!: string;

  @Field(() => String, {
    nullable: true,
    description:
      'The role of its key, or SYSTEM for a part of the server; null for `anonymous`, and in entries from before roles were kept.',
  })
  actorRole!: string | null;

  @Field(() => String, {
    nullable: true,
    description:
      'Where the request came from: its network, and a keyed hash of the address (of the /64 of an IPv6 one), such as ' +
      '`203.0.113.0/24#a1b2c3d4e5f6`. Null where nobody asked, or the address is not known.',
  })
  sourceAddress!: string | null;

  @Field(() => Float, { nullable: true, description: 'How long it took, in milliseconds.' })
  durationMs!: number | null;

  @Field(() => Int, { nullable: true, description: 'The fraud score, from 0 (harmless) to 100.' })
  fraudScore!: number | null;

  @Field(() => Int, {
    nullable: true,
    description:
      'How often the session was sent to CXone; of callers that were turned away (ACCESS_REFUSED), how often that was.',
  })
  attempts!: number | null;

  @Field(() => String, {
    nullable: true,
    description: 'CHECKED, or SKIPPED where CXone did not let us count; null where it did not come to that.',
  })
  capacityCheck!: string | null;

  @Field(() => Boolean, { nullable: true, description: 'Whether the CRM took the webhook (CRM_SYNC).' })
  crmSynced!: boolean | null;

  @Field(() => String, { description: 'The hash of the entry before this one.' })
  previousHash!: string;

  @Field(() => String, { description: 'SHA-256 over the previous hash and this entry.' })
  hash!: string;
}

@InputType({ description: 'Which audit entries; all conditions hold at once.' })
export class AuditFilter implements AuditCriteria {
  @Field(() => String, { nullable: true, description: 'About this guest.' })
  guestId?: string | null;

  @Field(() => String, { nullable: true, description: 'About this attempt.' })
  requestId?: string | null;

  @Field(() => AuditStatus, { nullable: true, description: 'That ended like this.' })
  status?: AuditStatus | null;

  @Field(() => AuditKind, { nullable: true, description: 'Of this kind.' })
  kind?: AuditKind | null;

  @Field(() => Date, { nullable: true, description: 'Written at this time or later.' })
  from?: Date | null;

  @Field(() => Date, { nullable: true, description: 'Written before this time.' })
  to?: Date | null;
}

@ObjectType({
  description: 'What came of following the chain of the audit trail and checking its checkpoints.',
  simpleResolvers: true,
})
export class AuditVerification implements Verification {
  @Field(() => Boolean, { description: 'True when every link holds, and every checkpoint of a known key.' })
  ok!: boolean;

  @Field(() => Int, { description: 'How many entries were found good.' })
  checked!: number;

  @Field(() => Int, { nullable: true, description: 'The first entry that is not.' })
  firstBrokenSequence!: number | null;

  @Field(() => String, {
    nullable: true,
    description:
      'What is wrong with it; where nothing is, which checkpoints are of a key that the server does not have.',
  })
  reason!: string | null;

  @Field(() => String, { nullable: true, description: 'The hash of the last good entry.' })
  head!: string | null;

  @Field(() => Int, { description: 'How many signed checkpoints were found good.' })
  checkpoints!: number;

  @Field(() => Int, {
    nullable: true,
    description: 'The sequence of the last of them: up to here the trail is what was signed.',
  })
  lastCheckpoint!: number | null;
}
