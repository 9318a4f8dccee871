import { v7 as uuidv7 } from 'uuid';

const MAX_UUID_TIME_MS = 2 ** 48 - 1;

export interface RequestId {
  readonly id: string;
  /** The time in the id. */
  readonly at: Date;
}

/** Mints the id of an attempt: a UUIDv7 (RFC 9562 §5.7), so that ids sort by their time. */
export function mintRequestId(): RequestId {
  const id = uuidv7();
  return { id, at: new Date(Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)) };
}

/** The least text that sorts neither before nor behind the ids of a time: `id >= bound` is "at that time or later". */
export function requestIdBound(at: Date): string {
  const ms = Math.min(Math.max(0, at.getTime()), MAX_UUID_TIME_MS);
  const hex = ms.toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}`;
}
