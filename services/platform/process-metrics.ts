import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Registry } from 'prom-client';
import Counter from 'prom-client/lib/counter.js';
import Gauge from 'prom-client/lib/gauge.js';
import gc from 'prom-client/lib/metrics/gc.js';
import heapSizeAndUsed from 'prom-client/lib/metrics/heapSizeAndUsed.js';
import heapSpacesSizeAndUsed from 'prom-client/lib/metrics/heapSpacesSizeAndUsed.js';
import osMemoryHeap from 'prom-client/lib/metrics/osMemoryHeap.js';
import processHandles from 'prom-client/lib/metrics/processHandles.js';
import processMaxFileDescriptors from 'prom-client/lib/metrics/processMaxFileDescriptors.js';
import processOpenFileDescriptors from 'prom-client/lib/metrics/processOpenFileDescriptors.js';
import processRequests from 'prom-client/lib/metrics/processRequests.js';
import processResources from 'prom-client/lib/metrics/processResources.js';
import processStartTime from 'prom-client/lib/metrics/processStartTime.js';
import version from 'prom-client/lib/metrics/version.js';

/** As they are in prom-client. */
const AS_THEY_ARE = [
  processStartTime,
  osMemoryHeap,
  processOpenFileDescriptors,
  processMaxFileDescriptors,
  processResources,
  processHandles,
  processRequests,
  heapSizeAndUsed,
  heapSpacesSizeAndUsed,
  version,
  gc,
];

/**
 * Node's own measurements, by the names that prom-client gives them. Two are measured here: its counter of CPU time loads
 * all of OpenTelemetry's API, and its watch of the event loop wakes an idle process a hundred times a second.
 */
export function collectProcessMetrics(registry: Registry): void {
  cpuTime(registry);
  eventLoopLag(registry);
  for (const register of AS_THEY_ARE) register(registry);
}

function cpuTime(registry: Registry): void {
  const counter = (name: string, help: string, collect?: () => void) =>
    new Counter({ name, help, registers: [registry], ...(collect ? { collect } : {}) });
  let last = process.cpuUsage();
  const user = counter('process_cpu_user_seconds_total', 'Total user CPU time spent in seconds.', () => {
    const now = process.cpuUsage();
    const [inUser, inSystem] = [(now.user - last.user) / 1e6, (now.system - last.system) / 1e6];
    last = now;
    user.inc(inUser);
    system.inc(inSystem);
    both.inc(inUser + inSystem);
  });
  const system = counter('process_cpu_system_seconds_total', 'Total system CPU time spent in seconds.');
  const both = counter('process_cpu_seconds_total', 'Total user and system CPU time spent in seconds.');
}

/** How often the event loop is asked for a sign of life, in ms. */
export const ASK_EVERY_MS = 250;

/** How late the event loop is. A loop that is never busy has a lag of nearly 0, however often it is asked. */
function eventLoopLag(registry: Registry): void {
  const delays = monitorEventLoopDelay({ resolution: ASK_EVERY_MS });
  delays.enable();
  const lag = (nanoseconds: number) => Math.max(0, nanoseconds / 1e9 - ASK_EVERY_MS / 1e3);
  const gauge = (name: string, help: string, collect?: () => void) =>
    new Gauge({
      ...{ name: `nodejs_eventloop_lag_${name}`, help, registers: [registry] },
      ...(collect ? { collect } : {}),
    });
  gauge('seconds', 'Lag of event loop in seconds.', function collect(this: Gauge) {
    const startedAt = performance.now();
    setImmediate(() => this.set((performance.now() - startedAt) / 1e3));
    min.set(lag(delays.min));
    max.set(lag(delays.max));
    mean.set(lag(delays.mean));
    stddev.set(delays.stddev / 1e9);
    p50.set(lag(delays.percentile(50)));
    p90.set(lag(delays.percentile(90)));
    p99.set(lag(delays.percentile(99)));
    delays.reset();
  });
  const min = gauge('min_seconds', 'The minimum recorded event loop delay.');
  const max = gauge('max_seconds', 'The maximum recorded event loop delay.');
  const mean = gauge('mean_seconds', 'The mean of the recorded event loop delays.');
  const stddev = gauge('stddev_seconds', 'The standard deviation of the recorded event loop delays.');
  const p50 = gauge('p50_seconds', 'The 50th percentile of the recorded event loop delays.');
  const p90 = gauge('p90_seconds', 'The 90th percentile of the recorded event loop delays.');
  const p99 = gauge('p99_seconds', 'The 99th percentile of the recorded event loop delays.');
}
