import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';

const run = promisify(execFile);
const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));
const SERVICES = new URL('../', import.meta.url).href;

/** The files of packages that a role loads to tell its settings: all that it imports. */
async function filesOf(role: string): Promise<readonly string[]> {
  const { stderr } = await run(process.execPath, [MAIN, role, '--help'], {
    env: { ...process.env, NODE_DEBUG: 'esm,module', NODE_COMPILE_CACHE: undefined },
    maxBuffer: 64 * 1024 * 1024,
  });
  const files = [...stderr.matchAll(/(?:Translating \w+ file:\/\/|: load ")\S*\/node_modules\/([^\s"]+)/g)];
  return [...new Set(files.map(([, file]) => file!))];
}

const UNUSED =
  /^(zod\/v4\/locales\/(?!en\.)|body-parser\/|qs\/|serve-static\/|undici\/.*h2|kafkajs\/src\/consumer\/(?!assign)|kafkajs\/src\/producer\/(?!partitioners))/;

test.each([
  ['page-server', ['zod/v4/locales/en.js', 'express/lib/utils.js', 'undici/lib/dispatcher/client.js']],
  ['projector', ['zod/v4/locales/en.js', 'kafkajs/src/index.js', 'kafkajs/src/admin/index.js']],
])('%s loads no part of a package that nothing uses', async (role, used) => {
  const files = await filesOf(role);
  expect(files).toEqual(expect.arrayContaining(used));
  expect(files.filter((file) => UNUSED.test(file))).toEqual([]);
});

/** Runs a program in which the parts are left out, in a process of its own. @returns what it wrote */
async function without(program: string): Promise<string> {
  const start = `import { leaveOutUnusedParts } from '${SERVICES}role/unused-parts.ts'; leaveOutUnusedParts();`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', start + program], {
    cwd: fileURLToPath(SERVICES),
  });
  return stdout;
}

test('what is wrong with a value is said in English', async () => {
  const said = await without(`const { z } = await import('zod');
    console.log(z.prettifyError(z.object({ port: z.int() }).safeParse({ port: 'x' }).error));`);
  expect(said).toContain('expected number, received string');
});

test('a server of express reads addresses and answers, and a client asks it', async () => {
  const answered = await without(`
    const { default: express } = await import('express');
    const { openClientPool } = await import('${SERVICES}platform/client-pool.ts');
    const app = express().set('query parser', 'simple');
    app.get('/:name', (req, res) => res.type('json').send({ name: req.params.name, query: req.query }));
    const server = app.listen(0, '127.0.0.1', async () => {
      const pool = openClientPool('http://127.0.0.1:' + server.address().port, {});
      const { body } = await pool.request({ path: '/gig?id=1&id=2', method: 'GET' });
      console.log(await body.text());
      await pool.close();
      server.close();
    });`);
  expect(JSON.parse(answered)).toEqual({ name: 'gig', query: { id: ['1', '2'] } });
});
