import { DeadlineExceeded } from '#platform/lifecycle.ts';
import { isUnavailable } from '#platform/postgres.ts';

// `57014 query_canceled`: the statement timeout.
const isTooSlow = (err: unknown) =>
  err instanceof DeadlineExceeded || (err as { code?: unknown } | null)?.code === '57014';

/** Whether a server of the page's database is down, out of reach or too slow; false where it refused a statement. */
export const isDown = (err: unknown): boolean => isUnavailable(err) || isTooSlow(err);
