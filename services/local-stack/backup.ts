/** Base backups of a local PostgreSQL, and its restore to an earlier point in time from the archived WAL. */
import { chmodSync } from 'node:fs';
import { appendFile, chown, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import { copyTree, type LocalPostgres } from './postgres.ts';

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

/** Copies the data of a running server (the low-level interface: PostgreSQL's own tools are not at hand). */
export async function takeBaseBackup(postgres: LocalPostgres, dataDir: string): Promise<void> {
  const [pgdata, backup] = [join(dataDir, 'pgdata'), join(dataDir, BACKUP)];
  const db = new Client({ connectionString: postgres.url('postgres') });
  await db.connect();
  try {
    await db.query("select pg_backup_start('base', fast => true)");
    await rm(backup, { recursive: true, force: true });
    await copyData(pgdata, backup);
    // The same session: it alone knows the backup.
    const { rows } = await db.query<{ labelfile: string }>('select labelfile from pg_backup_stop(true)');
    await writeFile(join(backup, 'backup_label'), rows[0]!.labelfile);
  } finally {
    await db.end();
  }
}

async function copyData(from: string, to: string): Promise<void> {
  const { uid, gid } = await stat(from);
  await copyTree(from, to);
  for (const name of ['pg_wal', 'pg_replslot', 'pg_stat_tmp']) await mkdir(join(to, name), { mode: 0o700 });
  await give(to, uid, gid);
}

/** Node's copy belongs to whoever makes it. */
async function give(folder: string, uid: number, gid: number): Promise<void> {
  const all = await readdir(folder, { recursive: true, withFileTypes: true });
  await chown(folder, uid, gid);
  chmodSync(folder, 0o700);
  for (const one of all) await chown(join(one.parentPath, one.name), uid, gid);
}

/**
 * Ends the server as a crash does, puts the base backup in the place of its data, and has it replay the archive up to
 * this time. It resolves when the server is a primary again, on the same port.
 */
export async function restoreTo(postgres: LocalPostgres, dataDir: string, time: Date): Promise<void> {
  const [pgdata, backup] = [join(dataDir, 'pgdata'), join(dataDir, BACKUP)];
  const { exited } = postgres;
  postgres.kill('SIGKILL');
  await exited;
  await rename(pgdata, join(dataDir, 'lost'));
  const { uid, gid } = await stat(backup);
  await copyData(backup, pgdata);
  await appendFile(
    join(pgdata, 'postgresql.auto.conf'),
    `restore_command = 'cp ../${ARCHIVE}/%f %p'
recovery_target_time = '${time.toISOString().replace('Z', '+00')}'
recovery_target_action = 'promote'
`,
  );
  await writeFile(join(pgdata, 'recovery.signal'), '');
  await give(pgdata, uid, gid);
  await postgres.restart();
}
