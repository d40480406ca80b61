/** What is ours among all that a cluster holds. Clusters have these names stored, so they must never change. */
export const GROUP = 'topclients.dev';

/** Our kinds, each with its plural in addresses. */
export const PLURALS = { TopClients: 'topclients', PageView: 'pageviews' } as const;

/** The operator, as it labels objects and owns fields. */
export const OPERATOR = 'top-clients-operator';
