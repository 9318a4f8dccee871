import {
  defaultFieldResolver,
  type GraphQLField,
  type GraphQLSchema,
  getNamedType,
  getNullableType,
  isListType,
  isObjectType,
} from 'graphql';

/** How many objects of lists are worked on before all else gets its turn: some milliseconds of fields. */
const OBJECTS_PER_TURN = 25;
/** What a field of the root counts for: it reads, and unseals, as much as a page holds. */
const READS_PER_TURN = 2;

type Field = GraphQLField<unknown, unknown>;

/**
 * Has queries worked on a little at a time, between which the event loop gets its turn: graphql-js alone would begin all fields
 * of the root at once, and go through thousands of objects in one go, each with a dozen fields. An item that is a promise waits
 * for its turn, and so does what is in it.
 */
export function completeInTurns(schema: GraphQLSchema, objectsPerTurn = OBJECTS_PER_TURN): GraphQLSchema {
  const turns = new Turns(objectsPerTurn);
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type) || type.name.startsWith('__')) continue;
    for (const field of Object.values(type.getFields())) {
      if (!isObjectType(getNamedType(field.type))) continue;
      if (type === schema.getQueryType()) readInTurns(field, turns, objectsPerTurn / READS_PER_TURN);
      if (isListType(getNullableType(field.type))) listInTurns(field, turns);
    }
  }
  return schema;
}

function readInTurns(field: Field, turns: Turns, weight: number): void {
  const { resolve = defaultFieldResolver } = field;
  field.resolve = (...asked) => {
    const turn = turns.take(weight);
    return turn ? turn.then(() => resolve(...asked)) : resolve(...asked);
  };
}

function listInTurns(field: Field, turns: Turns): void {
  const { resolve = defaultFieldResolver } = field;
  const inTurns = (items: unknown): unknown =>
    Array.isArray(items) ? items.map((item) => turns.take(1)?.then(() => item) ?? item) : items;
  field.resolve = (...asked) => {
    const items: unknown = resolve(...asked);
    return items instanceof Promise ? items.then(inTurns) : inTurns(items);
  };
}

/** Shared by all requests, in the order in which they ask. */
class Turns {
  readonly #perTurn: number;
  #left: number;
  readonly #waiting = new Set<{ readonly weight: number; go(): void }>();
  #next: NodeJS.Immediate | null = null;

  constructor(perTurn: number) {
    this.#perTurn = perTurn;
    this.#left = perTurn;
  }

  /** Null where it may go on at once; else resolves when it is its turn. */
  take(weight: number): Promise<void> | null {
    this.#next ??= setImmediate(() => this.#turn());
    if (this.#left > 0 && this.#waiting.size === 0) {
      this.#left -= weight;
      return null;
    }
    return new Promise((go) => this.#waiting.add({ weight, go }));
  }

  #turn(): void {
    this.#left = this.#perTurn;
    this.#next = this.#waiting.size > 0 ? setImmediate(() => this.#turn()) : null;
    for (const each of this.#waiting) {
      if (this.#left <= 0) break;
      this.#left -= each.weight;
      this.#waiting.delete(each);
      each.go();
    }
  }
}
