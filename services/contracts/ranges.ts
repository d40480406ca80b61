/** The whole numbers that a user may set, and the one that holds otherwise. */
export interface Range {
  readonly least: number;
  readonly most: number;
  readonly default: number;
}

/**
 * What a resource says and the operator hands to a role, which can be started without it as well: the definition of the
 * one and the setting of the other are made from these.
 */
export const RANGES = {
  source: {
    databasePool: { least: 1, most: 1_000, default: 16 },
    writesPerMinute: { least: 0, most: 10_000_000, default: 300 },
    requestsPerMinute: { least: 0, most: 10_000_000, default: 1_200 },
    pageRequestsPerMinute: { least: 0, most: 100_000_000, default: 0 },
  },
  relay: {
    shards: { least: 1, most: 64, default: 1 },
    /**
     * How long a round takes, in ms: from a send to the next look for rows. A row waits half of it on average; and a round
     * costs relay, projectors, Kafka and both databases nearly the same however many rows it has.
     * `docs/adr/relay-rounds.md` has what each length costs.
     */
    roundMs: { least: 1, most: 100, default: 6 },
  },
  view: {
    version: { least: 1, most: 1_000_000, default: 1 },
  },
  projector: {
    sessionTimeoutMs: { least: 1_000, most: 300_000, default: 6_000 },
  },
  watch: {
    sellersPerSecond: { least: 1, most: 1_000_000, default: 2_000 },
  },
  pageServer: {
    databasePool: { least: 1, most: 500, default: 10 },
    sourceDeadlineMs: { least: 1, most: 10_000, default: 150 },
    sourceConcurrency: { least: 1, most: 1_000, default: 64 },
    pageDeadlineMs: { least: 100, most: 60_000, default: 1_000 },
    versionCallsPerMinute: { least: 0, most: 10_000_000, default: 60 },
  },
  identity: {
    /** By how much the clocks of provider and service may differ. */
    clockToleranceSeconds: { least: 0, most: 300, default: 5 },
    /** Deadline of a request for the keys, body included. */
    keysTimeoutMs: { least: 10, most: 60_000, default: 2_000 },
    /** How often keys are fetched: one that was withdrawn is trusted no longer than this while the provider answers. */
    keysRefreshSeconds: { least: 1, most: 600, default: 300 },
    /**
     * How long keys are trusted that could not be fetched again. No longer than tokens usually live: a provider that is
     * away issues no new tokens, so that a longer time would only help the holder of a withdrawn key.
     */
    keysMaxAgeSeconds: { least: 2, most: 604_800, default: 3_600 },
  },
  operator: {
    resyncSeconds: { least: 5, most: 86_400, default: 300 },
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, Range>>>>;
