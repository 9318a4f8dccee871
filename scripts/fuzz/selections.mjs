import { readFileSync } from 'node:fs';
import {
  buildSchema,
  getNamedType,
  isCompositeType,
  isEnumType,
  isListType,
  isNonNullType,
  isUnionType,
} from 'graphql';

export const SCHEMA = buildSchema(readFileSync(new URL('../../schema.graphql', import.meta.url), 'utf8'));

/** @typedef {import('./random.mjs').Random} Random */

/** What selections may have in common: how full they are, and which sessions there are to ask for. */
/** @typedef {{ fullness: number, depth: number, ids: readonly string[] }} Shape */

const rootOf = (kind) => SCHEMA.getType(`${kind[0].toUpperCase()}${kind.slice(1)}`);

/** A whole operation that is valid, of a kind. @param {Random} random @param {Shape} shape */
export function validOperation(random, kind, shape) {
  const fields = Object.values(rootOf(kind).getFields());
  const count = kind === 'subscription' ? 1 : random.sizeUpTo(6);
  const roots = Array.from({ length: count }, (_, index) => {
    const field = random.pick(fields);
    return `${count > 1 ? `r${index}: ` : ''}${fieldText(random, field, shape)}`;
  });
  return `${kind} Fuzz { ${roots.join(' ')} }`;
}

function fieldText(random, field, shape) {
  const type = getNamedType(field.type);
  return `${field.name}${argumentsText(random, field, shape)}${isCompositeType(type) ? selectionOf(random, type, shape) : ''}`;
}

/** All that a type has, or a part of it, so deep. */
export function selectionOf(random, type, { depth, fullness, ids }) {
  if (isUnionType(type)) return ' { __typename }';
  const fields = Object.values(type.getFields());
  const parts = fields.flatMap((field) => {
    const isObject = isCompositeType(getNamedType(field.type));
    if (isObject && depth <= 1) return [];
    return random.chance(isObject ? fullness * 0.6 : fullness)
      ? [fieldText(random, field, { depth: depth - 1, fullness, ids })]
      : [];
  });
  return ` { ${parts.join(' ') || '__typename'} }`;
}

function argumentsText(random, field, shape) {
  const given = field.args.filter((arg) => isNonNullType(arg.type) || random.chance(0.4));
  const texts = given.map((arg) => `${arg.name}: ${valueText(random, arg, arg.type, shape.ids)}`);
  return texts.length > 0 ? `(${texts.join(', ')})` : '';
}

/** A value that the type takes. */
function valueText(random, { name }, type, ids) {
  if (isNonNullType(type)) return valueText(random, { name }, type.ofType, ids);
  if (isListType(type)) return `[${valueText(random, { name }, type.ofType, ids)}]`;
  if (isEnumType(type)) return random.pick(type.getValues()).name;
  if (name === 'first') return String(random.pick([1, 20, 100, 100, 100]));
  if (name === 'id') return JSON.stringify(random.pick(ids) ?? 'none');
  if (type.name === 'Int') return String(random.upTo(200));
  if (type.name === 'Boolean') return String(random.chance(0.5));
  if (type.name === 'DateTime') return random.pick(['"2020-01-01T00:00:00Z"', '"2099-01-01T00:00:00Z"']);
  if (type.name === 'String' || type.name === 'ID')
    return random.pick(['"ZXZlbnQ6MA"', '"guest-8f4a2b1c-9d3e-4f5a-b6c7-8d9e0f1a2b3c"', '"x"']);
  const fields = Object.values(type.getFields()).filter((field) => isNonNullType(field.type) || random.chance(0.3));
  return `{ ${fields.map((field) => `${field.name}: ${valueText(random, field, field.type, ids)}`).join(', ')} }`;
}
