import type { PageName } from './pages.ts';

/**
 * The users of PostgreSQL, each with what it needs and no more: whoever has the password of a page cannot read the
 * source, nor write the view that the page shows. What each may do is in `services/migrate/grants.ts`.
 *
 * The owner of a database is none of them: it migrates, and no program that serves anybody signs in as it.
 */
export const DATABASE_USERS = ['source', 'relay', 'republish', 'watcher', 'page', 'projector'] as const;
export type DatabaseUser = (typeof DATABASE_USERS)[number];

/** Databases as they are called on a server of ours. */
export type Database = 'source' | PageName | 'self_view';

/** Who works in a database; that of a page of somebody else, on a server of ours, has those of a page. */
export function usersOf(database: string): readonly DatabaseUser[] {
  switch (database) {
    case 'source':
      return ['source', 'relay', 'republish', 'watcher'];
    case 'self_view':
      return ['page'];
    default:
      return ['page', 'projector', 'watcher'];
  }
}

/** A user's name on a server with all databases: pages and projectors have one in each, which sees no other. */
export const userName = (user: DatabaseUser, database: string): string =>
  user === 'page' || user === 'projector' ? `top_clients_${user}_${database}` : `top_clients_${user}`;

/** As whom each program signs in to its databases. */
export const USER_OF_PROGRAM = {
  'top-clients': 'source',
  'rebuild-state': 'source',
  'after-restore': 'source',
  'outbox-relay': 'relay',
  republish: 'republish',
  'page-server': 'page',
  projector: 'projector',
  redrive: 'projector',
  'watch-view': 'watcher',
  'compare-views': 'watcher',
  migrate: 'owner',
  'drop-view': 'owner',
  'drop-page': 'owner',
  seed: 'owner',
} as const satisfies Readonly<Record<string, DatabaseUser | 'owner'>>;
export type DatabaseProgram = keyof typeof USER_OF_PROGRAM;
