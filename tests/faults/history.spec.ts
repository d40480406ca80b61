import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { acknowledged, openHistory } from './history.ts';

test('each invocation and each outcome is a line; what has no outcome yet has none in the list', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'history-'));
  try {
    let now = 0;
    const history = openHistory(join(folder, 'history.jsonl'), () => ++now);
    const done = history.invoke({ client: 1, seller: 7, action: { kind: 'add', name: 'a~' }, ifVersion: 3 });
    history.invoke({ client: 2, seller: 7, action: { kind: 'read' } });
    done({ event: 'ok', version: 4 });
    await history.close();
    expect(
      (await readFile(history.file, 'utf8'))
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([
      {
        id: 0,
        at: 1,
        event: 'invoke',
        client: 1,
        seller: 7,
        action: { kind: 'add', name: 'a~' },
        ifVersion: 3,
      },
      { id: 1, at: 2, event: 'invoke', client: 2, seller: 7, action: { kind: 'read' } },
      { id: 0, at: 3, event: 'ok', version: 4 },
    ]);
    expect(history.operations[1]).toMatchObject({ until: null, outcome: null });
    expect(acknowledged(history.operations)).toMatchObject([{ id: 0, version: 4, from: 1, until: 3 }]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
