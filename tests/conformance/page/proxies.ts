/** Stand between the page and what it needs, and break that on command; the page's own system is not touched. */
import { createServer } from 'node:http';
import { listen } from '#platform/listen.ts';
import { openGate, type Target } from '../../faults/gate.ts';
import type { ProxyUse, SourceFault } from './rules.ts';

export interface Proxy<Fault> {
  /** For the page, and how many connections came so far. */
  readonly use: NonNullable<ProxyUse>;
  /** From now on it behaves like this. */
  be(state: Fault | 'well'): void;
  close(): Promise<void>;
}
export type SourceProxy = Proxy<SourceFault>;
export type DatabaseProxy = Proxy<'refusing connections' | 'silent'>;

/** The delay each way: an answer of a slow source comes two seconds late. */
const SLOW_MS = 1_000;

/** @param source its base address; bytes are passed on as they are, so it must be http */
export async function openSourceProxy(port: number, source: string): Promise<SourceProxy> {
  const { hostname, port: targetPort } = new URL(source);
  const well: Target = { host: hostname.replace(/^\[|\]$/g, ''), port: Number(targetPort || 80) };
  const sick = createServer((_, res) => void res.writeHead(500).end('{}'));
  const failing: Target = { host: '127.0.0.1', port: await listen(sick, 0, '127.0.0.1') };
  const gate = await openGate('opaque', port, well);
  return {
    get use() {
      return { address: `http://127.0.0.1:${port}`, connections: gate.accepted };
    },
    be(state) {
      gate.delayMs = state === 'slow' ? SLOW_MS : 0;
      gate.silent = state === 'silent';
      const target = state === 'answering 500' ? failing : well;
      // Kept connections would lead to the other server.
      if (state === 'dead' || target !== gate.target) gate.cut();
      gate.target = target;
      if (state !== 'dead') gate.open();
    },
    async close() {
      await gate.close();
      sick.closeAllConnections();
      await new Promise((resolve) => sick.close(resolve));
    },
  };
}

export async function openDatabaseProxy(port: number, database: Target): Promise<DatabaseProxy> {
  const gate = await openGate('opaque', port, database);
  return {
    get use() {
      return { address: `127.0.0.1:${port}`, connections: gate.accepted };
    },
    be(state) {
      gate.silent = state === 'silent';
      if (state === 'refusing connections') gate.cut();
      else gate.open();
    },
    close: gate.close,
  };
}
