import type { EventEmitter } from 'node:events';
import { pino } from 'pino';

/** Structured JSON lines on stdout. Never pass names, descriptions or tokens: ids only. */
export type Log = Pick<pino.Logger, 'debug' | 'info' | 'warn' | 'error' | 'fatal'> & {
  child(bindings: Record<string, unknown>): Log;
};

/**
 * The properties of an error that are logged. A driver attaches to errors whatever it has at hand: a connection with
 * its keys and the values it was sending, the row that was refused, the address with its password.
 */
const TOLD = [
  ...['type', 'message', 'stack', 'code', 'errno', 'syscall', 'address', 'port', 'hostname', 'status'],
  ...['severity', 'schema', 'table', 'column', 'constraint', 'file', 'routine'],
];

function toldOf(err: unknown): unknown {
  const all = pino.stdSerializers.err(err as Error) as unknown;
  if (typeof all !== 'object' || all === null) return all;
  const { aggregateErrors, ...rest } = all as Record<string, unknown>;
  return {
    ...Object.fromEntries(Object.entries(rest).filter(([name]) => TOLD.includes(name))),
    ...(Array.isArray(aggregateErrors) ? { aggregateErrors: aggregateErrors.map(toldOf) } : {}),
  };
}

/** The password of an address within a text, as libraries put it into their messages. */
const PASSWORD = /\b([a-z][a-z0-9+.-]{1,20}:\/\/[^\s:/@"\\]*):[^\s"\\]*@/gi;

/** A text without the passwords of the addresses in it. What is configured is not put into messages anyway. */
export const withoutPasswords = (text: string): string =>
  text.includes('://') ? text.replace(PASSWORD, '$1:…@') : text;

/** @param destination absent: stdout */
export function openLog(role: string, level = 'info', destination?: pino.DestinationStream): Log {
  const options: pino.LoggerOptions = {
    level,
    base: { role, pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    serializers: { err: toldOf },
    hooks: { streamWrite: withoutPasswords },
  };
  return destination ? pino(options, destination) : pino(options);
}

/**
 * Waits until what was logged is written, `withinMs` at most. Lines are written asynchronously, and their reader may be
 * slow: a process that exits earlier loses the last ones, above all the reason of its end. Call it right after a line.
 */
export function written(log: Log, withinMs = 1_000): Promise<void> {
  const logger = log as pino.Logger & { readonly [pino.symbols.streamSym]?: Partial<EventEmitter> };
  const stream = logger[pino.symbols.streamSym];
  if (!logger.isLevelEnabled?.('info') || stream?.once === undefined) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(done, withinMs);
    stream.once!('drain', done);
  });
}

/** What strangers cause is logged at most once in this time, in ms: it must not fill the log. */
const SAY_AGAIN_MS = 60_000;

/** Calls through at most once a minute. */
export function seldom<A extends unknown[]>(say: (...args: A) => void): (...args: A) => void {
  let saidAt = Number.NEGATIVE_INFINITY;
  return (...args) => {
    if (performance.now() < saidAt + SAY_AGAIN_MS) return;
    saidAt = performance.now();
    say(...args);
  };
}

/** For specs and benches. */
export const silentLog: Log = /* @__PURE__ */ pino({ level: 'silent' });
