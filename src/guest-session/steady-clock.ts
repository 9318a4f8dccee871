/**
 * The time of day when this thread began, moved on by the monotonic clock: a jump of the wall clock neither ends a lease nor
 * prolongs it.
 */
export const steadyNow = (): Date => new Date(performance.timeOrigin + performance.now());
