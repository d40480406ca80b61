import { existsSync, readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from '@jest/globals';
import { PythonMissing, pythonWith } from './python.ts';
import { until } from './until.ts';

const CACHE = fileURLToPath(new URL('../../.cache', import.meta.url));
const NAME = `python-spec-${process.pid}`;
const { PATH } = process.env;

const made = new RegExp(`^${NAME}-\\w+$`);

afterEach(async () => {
  process.env['PATH'] = PATH;
  for (const name of readdirSync(CACHE).filter((one) => made.test(one)))
    await rm(join(CACHE, name), { recursive: true });
});

test('a machine without Python is told what is needed', async () => {
  process.env['PATH'] = '/nowhere';
  const none = await pythonWith(NAME, []).catch((err: unknown) => err);
  expect(none).toBeInstanceOf(PythonMissing);
  expect((none as Error).message).toMatch(/^Python 3\.11 or newer with its venv module is needed: .*python3/);
});

test('an installation that is ended leaves nothing behind that passes for one', async () => {
  const stopping = new AbortController();
  // It has that already: nothing is fetched.
  const install = (signal?: AbortSignal) => pythonWith(NAME, ['pip'], signal);
  const installing = install(stopping.signal).catch((err: unknown) => err);
  await until('it installs', () => readdirSync(CACHE).some((name) => made.test(name)));
  stopping.abort(new Error('the demo ends'));
  expect(await installing).toMatchObject({ message: 'the demo ends' });
  expect(existsSync(join(await install(), 'pip'))).toBe(true);
}, 60_000);
