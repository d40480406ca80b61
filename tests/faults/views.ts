/** A page's view that is lost, and rebuilt while it is read and written. */
import { silentLog } from '#platform/log.ts';
import { dropMigrated } from '#platform/migrations.ts';
import { namesOf } from '../../services/local-stack/database-users.ts';
import { until } from '../../services/local-stack/until.ts';
import { migratePage } from '../../services/migrate/databases.ts';
import { viewScopes } from '../../services/migrate/view-scopes.ts';
import type { Fault } from './fault.ts';
import { VIEW_SCHEMA } from './world.ts';

export const views: readonly Fault[] = [
  {
    name: 'view-emptied',
    about: 'the rows and checkpoints of a view are gone',
    touches: 'view',
    pages: 'answer',
    viewMayGoBack: true,
    async inject({ world, random }) {
      const page = random.pick(['gig', 'user'] as const);
      await until('the view is empty', async () => {
        await world.views[page].query('truncate top_clients, checkpoint, parked');
        return true;
      });
      return async () => {};
    },
  },
  {
    name: 'view-lost',
    about: 'the whole view is dropped; it is made anew, empty, while projectors and pages run',
    touches: 'view',
    pages: 'answer or refuse',
    viewMayGoBack: true,
    seconds: [1, 3],
    async inject({ world, random }) {
      const page = random.pick(['gig', 'user'] as const);
      await until('the view is dropped', async () => {
        // A projector in the middle of a batch may block it once.
        const db = await world.views[page].connect();
        try {
          await dropMigrated(db, VIEW_SCHEMA, viewScopes(VIEW_SCHEMA));
        } finally {
          db.release(true);
        }
        return true;
      });
      return () =>
        migratePage(
          page,
          world.postgres.pages.url(page),
          { delivery: 'asynchronous', version: 1 },
          silentLog,
          { users: namesOf(page) },
        );
    },
  },
];
