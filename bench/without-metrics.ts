/**
 * Loaded before a role (`--import`), it removes the role's metrics: counts go nowhere, and Node's own measurements are
 * not taken. It shows what metrics cost by comparison. It is no setting of a role, because nobody should run a role
 * like this.
 */
import { registerHooks } from 'node:module';

const NOTHING = `
  const none = { inc() {}, dec() {}, set() {}, observe() {}, reset() {}, remove() {}, labels: () => none };
  const registry = { contentType: 'text/plain', metrics: async () => '' };
  export const openCatalogue = () => ({ registry, counter: () => none, gauge: () => none, histogram: () => none });
  export const seriesFromZero = () => none;
`;

registerHooks({
  load(url, context, next) {
    return url.endsWith('/services/platform/metrics.ts')
      ? { format: 'module', shortCircuit: true, source: NOTHING }
      : next(url, context);
  },
});
