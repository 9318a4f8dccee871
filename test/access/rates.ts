import type { Admitted } from '../../src/access/gate.js';
import type { RateLimits, Role } from '../../src/access-settings.js';

/** More than a test asks for. */
export const MANY: RateLimits = {
  perKey: 100,
  perGuestKey: 100,
  perAddress: 100,
  createPerAddress: 100,
  createPerFingerprint: 100,
};
export const HERE = '203.0.113.7';
export const THERE = '203.0.113.8';
export const caller = (role: Role, name = `the ${role} key`): Admitted => ({ name, role, sourceAddress: null });
