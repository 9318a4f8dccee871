/** The operations of the playground's tabs, in their order. */
export const operations: readonly { readonly query: string; readonly variables: Readonly<Record<string, unknown>> }[];
