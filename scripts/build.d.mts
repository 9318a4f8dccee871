/** Builds what is missing or stale; resolves in milliseconds, and silently, when all is fresh. Safe beside another build. */
export function build(options?: { force?: boolean; signal?: AbortSignal }): Promise<void>;
