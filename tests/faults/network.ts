/** Every edge between two parts: slow, cut, or silent as behind a firewall that drops packets. */
import type { Fault } from './fault.ts';
import type { Gate } from './gate.ts';
import type { Signal } from './signals.ts';
import type { PagesMeanwhile } from './visitors.ts';
import type { FaultWorld, RoleName } from './world.ts';

const of =
  (edge: 'db' | 'kafka' | 'source', ...roles: RoleName[]) =>
  (world: FaultWorld): Gate[] =>
    roles.map((role) => world.role(role).gates[edge]!);

interface Edge {
  readonly gates: (world: FaultWorld) => Gate[];
  readonly pages: PagesMeanwhile;
  /** The signal for an edge that is cut or silent. */
  readonly signal?: Signal;
}

const EDGES: Readonly<Record<string, Edge>> = {
  'clients-source': { gates: (world) => [world.clientsGate.gate], pages: 'answer' },
  'source-db': { gates: of('db', 'source'), pages: 'answer' },
  'relay-db': { gates: of('db', 'relay-1', 'relay-2'), pages: 'answer' },
  'relay-kafka': { gates: of('kafka', 'relay-1', 'relay-2'), pages: 'answer' },
  'projector-db': { gates: of('db', 'projector-gig-1', 'projector-user'), pages: 'answer' },
  'projector-kafka': { gates: of('kafka', 'projector-gig-1', 'projector-user'), pages: 'answer' },
  'page-db': {
    gates: of('db', 'page-gig', 'page-user'),
    pages: 'answer or refuse',
    signal: {
      anyOf: ['page-gig counts incomplete renders', 'page-user counts incomplete renders'],
      afterSeconds: 3,
    },
  },
  'page-source': { gates: of('source', 'page-gig', 'page-gig-synchronous', 'page-user'), pages: 'answer' },
};

export const network: readonly Fault[] = Object.entries(EDGES).flatMap(([edge, { gates, pages, signal }]) => {
  const fault = (
    kind: string,
    about: string,
    on: (gate: Gate, delayMs: number) => void,
    seconds: readonly [number, number],
    signal?: Signal,
  ): Fault => ({
    name: `${kind}-${edge}`,
    about: `${about}: ${edge}`,
    touches: edge,
    pages,
    seconds,
    ...(signal ? { signal } : {}),
    async inject({ world, random }) {
      const all = gates(world);
      const delayMs = random.integer(20, 300);
      if (edge === 'clients-source') world.clientsGate.inUse = true;
      for (const gate of all) on(gate, delayMs);
      return async () => {
        for (const gate of all) {
          gate.delayMs = 0;
          gate.silent = false;
          gate.open();
        }
        world.clientsGate.inUse = false;
      };
    },
  });
  return [
    fault(
      'slow',
      'every message 20 to 300 ms late, each way',
      (gate, delayMs) => {
        gate.delayMs = delayMs;
      },
      [3, 6],
    ),
    fault('cut', 'connections reset and refused', (gate) => gate.cut(), [1, 5], signal),
    fault(
      'silent',
      'nothing passes and nobody is told',
      (gate) => {
        gate.silent = true;
      },
      [2, 7],
      signal,
    ),
  ];
});
