/**
 * Which of our definitions is the newer one, for clusters with operators of several versions. `npm run generate` counts
 * up whenever a definition changes.
 */
export const DEFINITIONS = { generation: 14, fingerprint: '552f8c3bef' };

/** On a definition: its generation. */
export const DEFINITIONS_ANNOTATION = 'topclients.dev/definitions';
