import { type DocumentNode, GraphQLError, type GraphQLSchema, getOperationAST, parse, validate } from 'graphql';
import type { SubscribePayload } from 'graphql-ws';
import { badUserInput } from './error-format.js';
import { VALIDATION_RULES } from './limit-depth.js';
import { MAX_TOKENS } from './server.js';

/** Each is less than 100 kB, the size of a frame. */
const KEPT_DOCUMENTS = 64;

/**
 * Reads the documents of subscriptions. The last good ones are remembered: after a restart thousands come back with the same.
 */
export class SubscriptionDocuments {
  readonly #schema: GraphQLSchema;
  readonly #valid = new Map<string, DocumentNode>();

  constructor(schema: GraphQLSchema) {
    this.#schema = schema;
  }

  /** The document, or what is wrong with it. */
  read({ query, operationName }: SubscribePayload): DocumentNode | readonly GraphQLError[] {
    try {
      const document = this.#valid.get(query) ?? parse(query, { maxTokens: MAX_TOKENS });
      if (!this.#valid.has(query)) {
        const errors = validate(this.#schema, document, VALIDATION_RULES);
        if (errors.length > 0) return errors.map((error) => withCode(error, 'GRAPHQL_VALIDATION_FAILED'));
        this.#keep(query, document);
      }
      if (getOperationAST(document, operationName)?.operation === 'subscription') return document;
      return [badUserInput('Sockets are for subscriptions. Send queries and mutations over HTTP.')];
    } catch (error) {
      if (error instanceof GraphQLError) return [withCode(error, 'GRAPHQL_PARSE_FAILED')];
      throw error;
    }
  }

  #keep(query: string, document: DocumentNode): void {
    this.#valid.set(query, document);
    const [oldest] = this.#valid.keys();
    if (this.#valid.size > KEPT_DOCUMENTS && oldest !== undefined) this.#valid.delete(oldest);
  }
}

/** The codes that Apollo gives over HTTP. */
const withCode = ({ message, nodes, source, positions }: GraphQLError, code: string): GraphQLError =>
  new GraphQLError(message, { nodes, source, positions, extensions: { code } });
