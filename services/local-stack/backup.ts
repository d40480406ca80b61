/** Base backups of a local PostgreSQL, and its restore to an earlier point in time from the archived WAL. */
import { appendFile, chown, mkdir, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { copyDataFolder, give, type LocalPostgres, takeBaseBackup } from './postgres.ts';

const ARCHIVE = 'archive';
const BACKUP = 'backup';

/** Settings of a server whose WAL is archived beside its data. A segment is archived once it is full or switched. */
export const ARCHIVING = {
  archive_mode: 'on',
  // The server runs in its data folder, and its user may be unable to enter the folders above.
  archive_command: `test ! -f ../${ARCHIVE}/%f && cp %p ../${ARCHIVE}/%f`,
} as const;

/** Where its user can write the archive; call it before anything is to be archived. */
export async function makeArchive(dataDir: string): Promise<void> {
  const { uid, gid } = await stat(join(dataDir, 'pgdata'));
  const archive = join(dataDir, ARCHIVE);
  await mkdir(archive, { recursive: true });
  await chown(archive, uid, gid);
}

/** Takes a base backup beside the data, to which `restoreTo` goes back. */
export const backUp = (postgres: LocalPostgres, dataDir: string): Promise<void> =>
  takeBaseBackup(postgres, join(dataDir, BACKUP));

/**
 * Ends the server as a crash does, puts the base backup in the place of its data, and has it replay the archive up to
 * this time. It resolves when the server is a primary again, on the same port.
 */
export async function restoreTo(postgres: LocalPostgres, dataDir: string, time: Date): Promise<void> {
  const [pgdata, backup] = [join(dataDir, 'pgdata'), join(dataDir, BACKUP)];
  const { exited } = postgres;
  postgres.kill('SIGKILL');
  await exited;
  const owner = await stat(pgdata);
  await rename(pgdata, join(dataDir, 'lost'));
  await copyDataFolder(backup, pgdata);
  await appendFile(
    join(pgdata, 'postgresql.auto.conf'),
    `restore_command = 'cp ../${ARCHIVE}/%f %p'
recovery_target_time = '${time.toISOString().replace('Z', '+00')}'
recovery_target_action = 'promote'
`,
  );
  await writeFile(join(pgdata, 'recovery.signal'), '');
  await give(pgdata, owner);
  await postgres.restart();
}
