import { expect, test } from '@jest/globals';
import type { ClientBase } from 'pg';
import { pinSettings, UnfitDatabase } from './postgres-session.ts';

/** A server of this version, as it answers the first look. */
const server = (version: number) =>
  ({
    processID: 1,
    query: async () => ({
      rows: [
        {
          ...{ backend: 1, encoding: 'UTF8', database: 'gig', version },
          ...{ read_only: 'off', in_recovery: false, extensions: null },
        },
      ],
    }),
  }) as unknown as ClientBase;
const SETTINGS = { applicationName: 'spec', statementTimeoutMs: 1_000 };

test('a server that is too old is refused, with what is needed', async () => {
  await expect(pinSettings(server(120_022), SETTINGS)).rejects.toThrow(
    new UnfitDatabase(
      'the server of the database "gig" is PostgreSQL 12: 13 or later is needed, so upgrade it or use another server',
    ),
  );
  await expect(pinSettings(server(130_000), SETTINGS)).resolves.toMatchObject({ isPooled: false });
});
