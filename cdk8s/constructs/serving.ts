/** An old pod stops only after a new one is ready, so that a version that cannot serve replaces no pod. */
export const WITHOUT_A_GAP = {
  type: 'RollingUpdate',
  rollingUpdate: { maxUnavailable: 0, maxSurge: 1 },
} as const;
