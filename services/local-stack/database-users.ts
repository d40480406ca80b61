/** The PostgreSQL users that programs sign in as, so that each spec proves that a program needs no further rights. */
import {
  type Database,
  type DatabaseProgram,
  USER_OF_PROGRAM,
  userName,
  usersOf,
} from '#contracts/database-users.ts';
import { PAGE_NAMES } from '#contracts/pages.ts';
import type { Users } from '../migrate/grants.ts';
import type { LocalPostgres } from './postgres.ts';

/** All databases on a machine. */
export const DATABASES = ['source', ...PAGE_NAMES, 'self_view'] as const satisfies Database[];

/** The names of a database's users. */
export const namesOf = (database: string): Users =>
  Object.fromEntries(usersOf(database).map((user) => [user, userName(user, database)]));

/** Creates the users of these databases. */
export async function makeUsers(postgres: LocalPostgres, databases: readonly string[]): Promise<void> {
  await postgres.createUsers(databases.flatMap((database) => Object.values(namesOf(database))));
}

/** A program's settings, with its own user in each database address that names the superuser. */
export function asItsUser<T extends Readonly<Record<string, string | number | undefined>>>(
  program: string,
  settings: T,
): T {
  return Object.fromEntries(
    Object.entries(settings).map(([name, value]) =>
      typeof value === 'string' && /database[-_]url$/i.test(name)
        ? [name, addressOf(program, value)]
        : [name, value],
    ),
  ) as T;
}

/** @returns the address unchanged when it does not name the superuser, or when the program acts as the owner */
function addressOf(program: string, address: string): string {
  const user = USER_OF_PROGRAM[program as DatabaseProgram];
  const url = new URL(address);
  if (user === undefined || user === 'owner' || url.username !== 'postgres') return address;
  url.username = userName(user, url.pathname.slice(1));
  return url.href;
}
