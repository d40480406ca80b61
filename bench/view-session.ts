import { type Client, connect } from '#platform/postgres.ts';
import { VIEW } from '../services/local-stack/pipeline.ts';

/**
 * A session of the gig page's database, with its asynchronous view first in the search path. Its loss ends the process.
 * @param url of the database
 */
export const connectToView = (
  url: string,
  applicationName: string,
  { statementTimeoutMs = 60_000, pipeline = false } = {},
): Promise<Client> =>
  connect(
    {
      url,
      applicationName,
      statementTimeoutMs,
      connectTimeoutMs: 5_000,
      searchPath: [VIEW, 'public'],
      ...(pipeline ? { pipeline } : {}),
    },
    (err) => {
      throw err;
    },
  );
