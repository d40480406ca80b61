import { pino } from 'pino';

/** Structured JSON lines on stdout. Never pass names, descriptions or tokens: ids only. */
export type Log = Pick<pino.Logger, 'debug' | 'info' | 'warn' | 'error' | 'fatal'> & {
  child(bindings: Record<string, unknown>): Log;
};

export function openLog(role: string, level = 'info'): Log {
  return pino({
    level,
    base: { role, pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    serializers: { err: pino.stdSerializers.err },
  });
}

/** For specs and benches. */
export const silentLog: Log = pino({ level: 'silent' });
