/** One proxy of a trial, in a thread of its own: see proxies.ts. It answers every order with the connections that came so far. */
import { createServer } from 'node:http';
import { parentPort, workerData } from 'node:worker_threads';
import { listen } from '#platform/listen.ts';
import { openGate, type Target } from '../../faults/gate.ts';
import type { DatabaseState, ProxyOrder, ProxyReport, ProxySettings, SourceState } from './proxies.ts';

/** The delay each way: an answer of a slow source comes two seconds late. */
const SLOW_MS = 1_000;

const { of, port, target } = workerData as ProxySettings;
const gate = await openGate('opaque', port, target);
const sick = createServer((_, res) => void res.writeHead(500).end('{}'));
const failing: Target = { host: '127.0.0.1', port: await listen(sick, 0, '127.0.0.1') };

function beSource(state: SourceState): void {
  gate.delayMs = state === 'slow' ? SLOW_MS : 0;
  gate.silent = state === 'silent';
  const next = state === 'answering 500' ? failing : target;
  // Kept connections would lead to the other server.
  if (state === 'dead' || next.port !== gate.target.port) gate.cut();
  gate.target = next;
  if (state !== 'dead') gate.open();
}

function beDatabase(state: DatabaseState): void {
  gate.silent = state === 'silent';
  if (state === 'refusing connections') gate.cut();
  else gate.open();
}

const report = () => parentPort!.postMessage({ connections: gate.accepted } satisfies ProxyReport);
parentPort!.on('message', ({ be }: ProxyOrder) => {
  if (be !== undefined) {
    if (of === 'source') beSource(be as SourceState);
    else beDatabase(be as DatabaseState);
  }
  report();
});
report();
