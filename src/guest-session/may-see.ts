import type { ActorRole } from './actor.js';
import type { Caller, GuestSessionRecord } from './ports.js';

const SEES_ALL: ReadonlySet<ActorRole> = new Set(['BACKEND', 'CRM', 'OPS']);

/** Whether a caller may know of a session. A GUEST knows of those that it has opened; that there are others it is not told. */
export const maySee = (
  { name, role }: Pick<Caller, 'name' | 'role'>,
  { callerName }: Pick<GuestSessionRecord, 'callerName'>,
): boolean => SEES_ALL.has(role) || callerName === name;
