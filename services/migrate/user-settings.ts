import { z } from 'zod';
import { DATABASE_USERS, type DatabaseUser } from '#contracts/database-users.ts';
import { ConfigError, type Setting, setting } from '#platform/config.ts';
import type { Users } from './grants.ts';

const DOES: Readonly<Record<DatabaseUser, string>> = {
  source: 'the source of truth',
  relay: 'the relay',
  republish: 'republish',
  watcher: 'watch-view and compare-views',
  page: 'the page server',
  projector: 'the projectors',
};

const nameOf = (user: DatabaseUser) => `${user}User` as const;
type Name = ReturnType<typeof nameOf>;

/** Settings that name the PostgreSQL users which get rights in the migrated database. */
export const USER_SETTINGS = Object.fromEntries(
  DATABASE_USERS.map((user) => [
    nameOf(user),
    setting(
      `TC_${user.toUpperCase()}_USER`,
      `the user of the database that ${DOES[user]} signs in as, or an address with it; gets what it needs there. The owner when absent`,
      z.string().min(1).optional(),
    ),
  ]),
) as Readonly<Record<Name, Setting<z.ZodOptional<z.ZodString>>>>;

export const usersIn = (config: Readonly<Record<Name, string | undefined>>): Users =>
  Object.fromEntries(
    DATABASE_USERS.flatMap((user) => {
      const given = config[nameOf(user)];
      return given === undefined ? [] : [[user, userIn(given)]];
    }),
  );

/**
 * The user in an address, or the text itself when it is no address: whoever sets addresses need not name the users
 * again.
 * @throws Error without the text, which may hold a password
 */
export function userIn(text: string): string {
  if (!/^[a-z]+:\/\//.test(text)) return text;
  // From the scheme to the password or the host. Not parsed as a URL, because a password may hold any character.
  const [, user = ''] = /^[a-z]+:\/\/([^:/@?#]*)[:@]/.exec(text) ?? [];
  if (user === '') throw new ConfigError('an address that names a user of the database has none in it');
  return decodeURIComponent(user);
}
