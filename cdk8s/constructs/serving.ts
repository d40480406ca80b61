/**
 * Proxies go on sending to a pod until they have heard that it stops, which takes seconds in a large cluster; until
 * then it serves as before.
 */
export const PRE_STOP_SECONDS = 5;

/** An old pod goes only after a new one is ready, so that a version that cannot serve replaces nobody. */
export const WITHOUT_A_GAP = {
  type: 'RollingUpdate',
  rollingUpdate: { maxUnavailable: 0, maxSurge: 1 },
} as const;

/**
 * After that it tells those who kept their connection to make a new one, with their next answer: closing at once would
 * meet a request that is on its way.
 */
export const SAY_GOODBYE_MS = 2_000;
