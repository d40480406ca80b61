/** What a consumer under test shows of its store: by HTTP or in a file. */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import type { SellerState } from './rules.ts';

/** A sentence on why the state cannot be read, and what to change. */
export class StateUnreadable extends Error {
  override name = 'StateUnreadable';
}

const Row = z.object({
  sellerId: z.int(),
  version: z.int().optional(),
  clients: z.array(z.object({ id: z.string(), name: z.string() })),
});
/** The store of the play has a few hundred rows; more than this is not its state. */
const MOST_BYTES = 16 * 1024 * 1024;

/**
 * Reads the rows of a store: a JSON array, or one JSON object a line.
 * @param where an address that answers them, or the path of a file that holds them
 * @throws StateUnreadable
 */
export async function readState(where: string): Promise<ReadonlyMap<number, SellerState>> {
  return rowsIn(await textAt(where), where);
}

async function textAt(where: string): Promise<string> {
  if (!/^https?:\/\//.test(where)) {
    return readFile(where, 'utf8').catch((err: Error) => {
      throw new StateUnreadable(`STATE=${where} cannot be read: ${err.message}`);
    });
  }
  const answer = await fetch(where, { signal: AbortSignal.timeout(10_000) }).catch((err: Error) => {
    throw new StateUnreadable(`STATE=${where} does not answer: ${String(err.cause ?? err.message)}`);
  });
  if (!answer.ok)
    throw new StateUnreadable(`STATE=${where} answers ${answer.status}: it must answer 200 with the rows`);
  if (Number(answer.headers.get('content-length') ?? 0) > MOST_BYTES) {
    throw new StateUnreadable(
      `STATE=${where} answers more than ${MOST_BYTES} bytes: it must hold the rows of the play alone`,
    );
  }
  return answer.text();
}

/** @throws StateUnreadable naming the row */
export function rowsIn(text: string, where: string): ReadonlyMap<number, SellerState> {
  const rows = new Map<number, SellerState>();
  for (const [index, one] of valuesIn(text, where).entries()) {
    const row = Row.safeParse(one);
    if (!row.success) {
      const [issue] = row.error.issues;
      throw new StateUnreadable(
        `STATE=${where}: row ${index + 1} is not {"sellerId": 7, "version": 3, "clients": [{"id": "…", "name": "…"}]}: ${issue?.path.join('.')}: ${issue?.message}`,
      );
    }
    if (rows.has(row.data.sellerId)) {
      throw new StateUnreadable(
        `STATE=${where}: seller ${row.data.sellerId} has two rows; a store has one a seller`,
      );
    }
    rows.set(row.data.sellerId, row.data);
  }
  return rows;
}

function valuesIn(text: string, where: string): unknown[] {
  try {
    if (text.trimStart().startsWith('[')) return JSON.parse(text) as unknown[];
    return text
      .split('\n')
      .filter((line) => line.trim() !== '')
      .map((line) => JSON.parse(line) as unknown);
  } catch (err) {
    throw new StateUnreadable(
      `STATE=${where} is neither a JSON array nor one JSON object a line: ${(err as Error).message}`,
    );
  }
}
