/**
 * Which of our definitions is the newer one, for clusters with operators of several versions. `npm run generate` counts
 * up whenever a definition changes.
 */
export const DEFINITIONS = { generation: 10, fingerprint: '9d8effcef2' };

/** On a definition: its generation. */
export const DEFINITIONS_ANNOTATION = 'topclients.dev/definitions';
