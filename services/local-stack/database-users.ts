/** The users of PostgreSQL as every program signs in, so that each spec shows that it needs no more. */
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

/** All there are on a machine. */
export const DATABASES = ['source', ...PAGE_NAMES, 'self_view'] as const satisfies Database[];

/** The names of those who work in a database. */
export const namesOf = (database: Database): Users =>
  Object.fromEntries(usersOf(database).map((user) => [user, userName(user, database)]));

/** Makes those who work in these databases. */
export async function makeUsers(postgres: LocalPostgres, databases: readonly Database[]): Promise<void> {
  await postgres.createUsers(databases.flatMap((database) => Object.values(namesOf(database))));
}

/** Settings of a program with the addresses of databases as it signs in there: those of the superuser otherwise. */
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

/** @returns the address as it is where it names another user than the superuser, or the program is an owner's */
function addressOf(program: string, address: string): string {
  const user = USER_OF_PROGRAM[program as DatabaseProgram];
  const url = new URL(address);
  if (user === undefined || user === 'owner' || url.username !== 'postgres') return address;
  const database = url.pathname.slice(1) as Database;
  url.username = userName(user, database);
  return url.href;
}
