import type { RateLimits } from '../access-settings.js';
import type { BoundedRateOptions } from './bounded-rate.js';
import type { Admitted } from './gate.js';

export interface RatesOptions {
  /** Null: nothing is counted. */
  readonly limits: RateLimits | null;
  /** Hears that a caller was asked to slow down, and by which setting. */
  onSlowDown(caller: Admitted, setting: string): void;
}

/** Of a rate in a minute. More than are counted apart come only from who has many networks. */
export const inAMinute = (limit: number): Omit<BoundedRateOptions, 'together'> => ({
  limit,
  windowSeconds: 60,
  mostApart: 65_536,
});

/** A GUEST key is in a web page, and bounds nobody by itself; the others come from servers, or from an office. */
export const isPublic = ({ role }: Pick<Admitted, 'role'>): boolean => role === 'GUEST';
