/**
 * A synthetic seller whose list changes once a second, so that the whole way to every page's database is timed also
 * while nobody writes. No client of the HTTP contract may change it, and no page has a gig, profile or listing of it.
 * Out of reach of any sequence, and within what readers of events take for plain (15 digits).
 */
export const CANARY_SELLER = 999_999_999_999_999;
