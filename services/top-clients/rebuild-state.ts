import { databaseUrl, integer, setting } from '#platform/config.ts';
import { databaseCaFile } from '#platform/database-tls.ts';
import { connect } from '#platform/postgres.ts';
import { defineRole } from '#role/role.ts';
import { postgresStateRepair } from './adapters/postgres/state-repair.ts';
import { rebuildState } from './app/index.ts';

const REPORT_EVERY = 10_000;

export const role = defineRole({
  name: 'rebuild-state',
  about: 'makes the state of every seller anew from the event log alone, while the service runs',
  isGuest: true,
  settings: {
    databaseCaFile: databaseCaFile('TC_DATABASE_CA_FILE'),
    databaseUrl: setting('TC_DATABASE_URL', 'PostgreSQL address of the source of truth', databaseUrl()),
    statementTimeoutMs: setting(
      'TC_STATEMENT_TIMEOUT_MS',
      'a statement that takes longer is cancelled and ends the run, in ms',
      integer(1_000, 3_600_000).default(60_000),
    ),
  },
  async start(config, { log, releases, fail }) {
    const client = await connect(
      {
        url: config.databaseUrl,
        caFile: config.databaseCaFile,
        applicationName: 'rebuild-state',
        statementTimeoutMs: config.statementTimeoutMs,
        connectTimeoutMs: 10_000,
        primaryOnly: true,
      },
      fail,
    );
    releases.push('the database', () => client.end());
    let reported = 0;
    const rebuilt = await rebuildState(postgresStateRepair(client), (soFar) => {
      if (soFar.sellers < reported + REPORT_EVERY) return;
      reported = soFar.sellers;
      log.info(soFar, 'rebuilding');
    });
    if (rebuilt === 'busy') throw new Error('another rebuild-state is running on this database; wait for it');
    log.info(rebuilt, 'rebuilt');
    return 'done';
  },
});
