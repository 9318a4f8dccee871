import { ArgsType, type ClassType, Field, Int, ObjectType } from 'type-graphql';
import type { Page } from '../store/page.js';
import { badUserInput } from './error-format.js';

const MAX_PAGE_SIZE = 100;

@ArgsType()
export class PageArgs {
  @Field(() => Int, { defaultValue: 20, description: 'How many, from 1 to 100.' })
  first!: number;

  @Field(() => String, { nullable: true, description: 'The `endCursor` of the page before.' })
  after?: string | null;
}

@ObjectType({ description: 'Where a page stands in its list (Relay).', simpleResolvers: true })
export class PageInfo {
  @Field(() => Boolean, { description: 'Whether there is more after this page.' })
  hasNextPage!: boolean;

  @Field(() => Boolean, { description: 'Whether there is more before this page.' })
  hasPreviousPage!: boolean;

  @Field(() => String, { nullable: true, description: 'The cursor of the first item.' })
  startCursor!: string | null;

  @Field(() => String, { nullable: true, description: 'The cursor of the last item: ask on with `after:` this.' })
  endCursor!: string | null;
}

export interface Connection<Node> {
  readonly edges: { readonly cursor: string; readonly node: Node }[];
  readonly nodes: readonly Node[];
  readonly pageInfo: PageInfo;
}

/** The Relay connection type of a node type (https://relay.dev/graphql/connections.htm). */
export function connectionOf<Node extends object>(NodeType: ClassType<Node>, name: string, what: string) {
  @ObjectType(`${name}Edge`, { description: `One of ${what}, and its cursor.`, simpleResolvers: true })
  class NodeEdge {
    @Field(() => String, { description: 'Where the item stands in the list.' })
    cursor!: string;

    @Field(() => NodeType, { description: 'The item.' })
    node!: Node;
  }

  @ObjectType(`${name}Connection`, { description: `A page of ${what}.`, simpleResolvers: true })
  class NodeConnection {
    @Field(() => [NodeEdge], { description: 'The items with their cursors.' })
    edges!: NodeEdge[];

    @Field(() => [NodeType], { description: 'The items.' })
    nodes!: Node[];

    @Field(() => PageInfo, { description: 'Where this page stands.' })
    pageInfo!: PageInfo;
  }
  return NodeConnection;
}

/** @throws BAD_USER_INPUT unless it is 1 to 100 */
export function pageSize(first: number): number {
  if (first >= 1 && first <= MAX_PAGE_SIZE) return first;
  throw badUserInput(`"first" must be from 1 to ${MAX_PAGE_SIZE}, not ${first}.`);
}

/** @param after the cursor that the page was asked for with: an empty page ends where it begins */
export function toConnection<Node>(
  page: Page<Node>,
  cursorOf: (node: Node) => string,
  after: string | null | undefined,
): Connection<Node> {
  const edges = page.rows.map((node) => ({ cursor: cursorOf(node), node }));
  return {
    edges,
    nodes: page.rows,
    pageInfo: {
      hasNextPage: page.hasNextPage,
      hasPreviousPage: after != null,
      startCursor: edges.at(0)?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? after ?? null,
    },
  };
}

const encode = (text: string): string => Buffer.from(text).toString('base64url');

function decode(cursor: string, pattern: RegExp): RegExpMatchArray {
  const match = Buffer.from(cursor, 'base64url').toString().match(pattern);
  if (!match) throw badUserInput('"after" is not a cursor of this list.');
  return match;
}

/** Cursors are opaque: where a list goes on, and which list it is. */
export const sessionCursor = {
  of: ({ id }: { readonly id: string }) => encode(`session:${id}`),
  read: (cursor: string): string => decode(cursor, /^session:([0-9a-f-]{36})$/)[1] ?? '',
};

export const auditCursor = {
  of: ({ timestamp, sequence }: { readonly timestamp: Date; readonly sequence: number }) =>
    encode(`audit:${timestamp.getTime()}:${sequence}`),
  read: (cursor: string) => {
    const [, ms, sequence] = decode(cursor, /^audit:(\d{1,15}):(\d{1,15})$/);
    return { timestamp: new Date(Number(ms)), sequence: Number(sequence) };
  },
};

export const deliveryCursor = {
  of: ({ createdAt, sequence }: { readonly createdAt: Date; readonly sequence: number }) =>
    encode(`delivery:${createdAt.getTime()}:${sequence}`),
  read: (cursor: string) => {
    const [, ms, sequence] = decode(cursor, /^delivery:(\d{1,15}):(\d{1,15})$/);
    return { createdAt: new Date(Number(ms)), sequence: Number(sequence) };
  },
};

export const eventCursor = {
  of: ({ sequence }: { readonly sequence: number }) => encode(`event:${sequence}`),
  read: (cursor: string): number => Number(decode(cursor, /^event:(\d{1,15})$/)[1]),
};
