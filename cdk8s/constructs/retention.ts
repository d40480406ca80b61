import type { Platform } from '../platform.ts';

/** What becomes of the claims of a StatefulSet: Kubernetes itself deletes them with it where that is wanted. */
export const claimRetention = ({ spec }: Platform) => ({
  whenDeleted: spec.deletionPolicy,
  whenScaled: 'Retain',
});
