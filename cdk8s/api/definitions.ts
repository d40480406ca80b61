/**
 * Which of our definitions is the newer one, for clusters with operators of several versions. `npm run generate` counts
 * up whenever a definition changes.
 */
export const DEFINITIONS = { generation: 17, fingerprint: '121d3c3056' };

/** On a definition: its generation. */
export const DEFINITIONS_ANNOTATION = 'topclients.dev/definitions';
