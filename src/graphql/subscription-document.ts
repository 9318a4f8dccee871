import {
  type DocumentNode,
  GraphQLError,
  type GraphQLSchema,
  getOperationAST,
  parse,
  specifiedRules,
  type ValidationRule,
  validate,
} from 'graphql';
import type { SubscribePayload } from 'graphql-ws';
import type { KnownCaller } from './context.js';
import { badUserInput, withCode } from './error-format.js';
import { refuseFields } from './field-roles.js';
import { limitDocument } from './limit-document.js';
import { maySeeSchema, refuseIntrospection, refuseRequest } from './refuse-request.js';
import { type RequestLimits, VALIDATION_OPTIONS } from './request-limits.js';
import type { ForbiddenListener } from './schema.js';

/** Each is less than 100 kB, the size of a frame. */
const KEPT_DOCUMENTS = 64;

/**
 * Reads the documents of subscriptions. The last good ones are remembered: after a restart thousands come back with the same.
 */
export class SubscriptionDocuments {
  readonly #schema: GraphQLSchema;
  readonly #limits: RequestLimits;
  readonly #onForbidden: ForbiddenListener;
  readonly #rules: readonly ValidationRule[];
  readonly #valid = new Map<string, DocumentNode>();

  /** @param onForbidden hears of who asks for what its role may not see */
  constructor(schema: GraphQLSchema, limits: RequestLimits, onForbidden: ForbiddenListener) {
    this.#schema = schema;
    this.#limits = limits;
    this.#onForbidden = onForbidden;
    this.#rules = [limitDocument(limits), ...specifiedRules];
  }

  /** The document, or what is wrong with it. */
  read(
    { query, operationName, variables }: SubscribePayload,
    caller: KnownCaller,
  ): DocumentNode | readonly GraphQLError[] {
    const document = this.#valid.get(query) ?? this.#parse(query);
    if (document instanceof GraphQLError) return [withCode(document, 'GRAPHQL_PARSE_FAILED')];
    if (!this.#valid.has(query)) {
      const options = { ...VALIDATION_OPTIONS, hideSuggestions: !maySeeSchema(caller) };
      const errors = validate(this.#schema, document, this.#rules, options);
      if (errors.length > 0) return errors.map((error) => withCode(error, 'GRAPHQL_VALIDATION_FAILED'));
      this.#keep(query, document);
    }
    // First, so that an attempt to see the schema is told of as over HTTP, though nobody gets it here.
    const forbidden = refuseIntrospection(document, caller, this.#onForbidden);
    if (forbidden) return [forbidden];
    const operation = getOperationAST(document, operationName);
    if (operation?.operation !== 'subscription')
      return [badUserInput('Sockets are for subscriptions. Send queries and mutations over HTTP.')];
    const refusal = refuseRequest({ schema: this.#schema, document, operation, variables }, this.#limits);
    if (refusal) return [refusal];
    const refusals = refuseFields({ schema: this.#schema, document, operation }, caller, this.#onForbidden);
    return refusals.length > 0 ? refusals : document;
  }

  #parse(query: string): DocumentNode | GraphQLError {
    try {
      return parse(query, { maxTokens: this.#limits.tokens });
    } catch (error) {
      if (error instanceof GraphQLError) return error;
      throw error;
    }
  }

  #keep(query: string, document: DocumentNode): void {
    this.#valid.set(query, document);
    const [oldest] = this.#valid.keys();
    if (this.#valid.size > KEPT_DOCUMENTS && oldest !== undefined) this.#valid.delete(oldest);
  }
}
