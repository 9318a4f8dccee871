/** 127.0.0.0/8, ::1 and `localhost`. */
export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);

/** Whether the header `Host` names a loopback address. */
export const isLoopbackHost = (host = ''): boolean =>
  URL.canParse(`http://${host}`) && isLoopback(new URL(`http://${host}`).hostname.replace(/^\[|\]$/g, ''));
