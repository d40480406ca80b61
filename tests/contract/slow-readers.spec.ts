/** What connections that never read cost the source of truth: a real process with the memory of its pod. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { LIMITS } from '../../services/contracts/client.ts';
import { type Source, type SourceBench, startSourceBench } from '../support/source.ts';

const MIB = 1024 * 1024;
const MEMORY = 256 * MIB;
const SOCKETS = 1_000;
/** As many as one address may have. */
const A_CLIENT = 250;

let bench: SourceBench;
let source: Source;
const sockets: Socket[] = [];

beforeAll(async () => {
  bench = await startSourceBench();
  source = await bench.startSource(await bench.database('source'), {
    // Rather than giving up: what is asked for shall be answered, however slow this machine is.
    TC_STATEMENT_TIMEOUT_MS: '60000',
    TC_POOL_WAIT_MS: '60000',
  });
});
afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  await bench?.stop();
});

/**
 * What the process holds, in bytes, but for what the kernel can drop and read again: the pages of the program. A pod is
 * killed when this does not fit.
 */
function memory(): number {
  const status = readFileSync(`/proc/${source.process.pid}/status`, 'utf8');
  return 1024 * Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)![1]);
}

/** How many large answers were made. */
async function answered(): Promise<number> {
  const text = await (await fetch(`${source.healthUrl}/metrics`)).text();
  const series =
    /^topclients_http_requests_total\{route="\/v1\/top-clients\/batch-get".*status="200"\} (\d+)$/m;
  return Number(series.exec(text)?.[1] ?? 0);
}

test('a thousand of them fit its memory', async () => {
  // The largest lists there can be.
  const description = '𝔸'.repeat(LIMITS.descriptionLength);
  const clients = Array.from({ length: LIMITS.clientsPerSeller }, () => ({
    ...{ id: randomUUID(), name: 'A', industry: '', description, logo: null, from: null, to: null },
  }));
  await source.query(
    'insert into seller (seller_id, version, clients, updated_at) select id, 1, $1, now() from generate_series(1, 100) id',
    [JSON.stringify(clients)],
  );
  const body = JSON.stringify({ sellerIds: Array.from({ length: 100 }, (_, i) => i + 1) });
  const request = `POST /v1/top-clients/batch-get HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const { hostname, port } = new URL(source.url);
  for (let i = 0; i < SOCKETS; i += 1) {
    const localAddress = `127.0.0.${2 + Math.floor(i / A_CLIENT)}`;
    const socket = connect({ port: Number(port), host: hostname, localAddress });
    socket.pause();
    socket.on('error', () => {});
    sockets.push(socket);
    await once(socket, 'connect');
  }
  // Requests sent ahead are served after the answer that nobody reads, or at once after a refusal.
  for (const socket of sockets) socket.write(request.repeat(10));
  let most = 0;
  while ((await answered()) < 150 && most < MEMORY) {
    most = Math.max(most, memory());
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect(most).toBeLessThan(MEMORY);
  expect((await fetch(`${source.healthUrl}/livez`)).status).toBe(200);
}, 60_000);
