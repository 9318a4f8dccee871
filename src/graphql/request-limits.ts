import { type ASTNode, GraphQLError } from 'graphql';
import type { Config } from '../config.js';

/** What one request may ask for; README says how each is counted. */
export type RequestLimits = Config['limits'];

/**
 * How many errors a document is told of. Each costs time, most of all those that look for what may have been meant; who needs
 * more mends these first.
 */
export const VALIDATION_OPTIONS = { maxErrors: 8 } as const;

/** Says which limit a request is over, by the setting that moves it. */
export const refusalOf = (what: string, setting: string, nodes: ASTNode): GraphQLError =>
  new GraphQLError(`The request asks for too much: ${what}`, {
    nodes,
    extensions: { code: 'GRAPHQL_VALIDATION_FAILED', limit: setting },
  });
