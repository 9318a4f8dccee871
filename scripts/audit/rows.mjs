// How rows of the trail are asked for and read.
import { Broken, Unusable } from './verdict.mjs';

const SQLITE_ERROR = 1;
const SQLITE_CORRUPT = 11;

/** Conditions: what is before the beginning of a trail is of no account, but nothing has a place before the first entry of all. */
export function within(first, upTo) {
  return [
    ...(first > 1 ? [`NOT "sequence" BETWEEN 1 AND ${first - 1}`] : []),
    ...(upTo === undefined ? [] : [`"sequence" <= ${upTo}`]),
  ];
}

/** The next row. What it holds may be the reason why it cannot be read: then it is the trail that is at fault. */
export function nextRow(rows, last, what = 'it') {
  try {
    return rows.next();
  } catch (error) {
    const isFaulty = [SQLITE_ERROR, SQLITE_CORRUPT].includes(error.errcode) || error.code === 'ERR_OUT_OF_RANGE';
    if (isFaulty) throw new Broken(last + 1, `${what} cannot be read: ${error.message}`);
    throw new Unusable(`The database cannot be read: ${error.message}`);
  }
}
