/** How a webhook stands. */
export const DeliveryStatus = { PENDING: 'PENDING', DELIVERED: 'DELIVERED', DEAD: 'DEAD' } as const;
export type DeliveryStatus = keyof typeof DeliveryStatus;

/** How the CRM's endpoint stands. */
export const EndpointStatus = { ACTIVE: 'ACTIVE', DISABLED: 'DISABLED' } as const;
export type EndpointStatus = keyof typeof EndpointStatus;
