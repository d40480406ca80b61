/**
 * Loaded before a role (`--import`), takes its metrics away: everything that would be counted goes nowhere, and Node's
 * own measurements are not taken. No setting of a role does that, for nobody should run one so; what metrics cost can
 * only be seen against it.
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
