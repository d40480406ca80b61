/** Roles that are killed, and roles that hang. */
import type { Fault, Injection } from './fault.ts';
import type { FaultWorld, RoleName, RoleUnderFault } from './world.ts';

const VICTIMS = {
  source: () => ['source'],
  relay: leader,
  'both-relays': () => ['relay-1', 'relay-2'],
  projector: () => ['projector-gig-1'],
  'lone-projector': () => ['projector-user'],
  page: () => ['page-gig', 'page-user'],
} satisfies Record<string, (world: FaultWorld) => readonly RoleName[] | Promise<readonly RoleName[]>>;

/** The relay that leads now, or the first one when none reports that. */
async function leader(world: FaultWorld): Promise<readonly RoleName[]> {
  const second = await world.role('relay-2').metric('topclients_relay_leader');
  return [second > 0 ? 'relay-2' : 'relay-1'];
}

export const crashes: readonly Fault[] = Object.entries(VICTIMS).flatMap(([victim, find]): Fault[] => {
  const pages = victim === 'page' ? 'may be gone' : 'answer';
  const roles = async ({ world }: Injection) => (await find(world)).map((name) => world.role(name));
  return [
    {
      name: `kill-${victim}`,
      about: `kill -9 of ${victim}; its supervisor starts it again`,
      touches: victim,
      pages,
      async inject(injection) {
        for (const one of await roles(injection)) one.process.kill('SIGKILL');
        return async () => {};
      },
    },
    {
      name: `hang-${victim}`,
      about: `SIGSTOP of ${victim}, past the lease of a relay and the session of a projector, then SIGCONT`,
      touches: victim,
      pages,
      seconds: [3, 8],
      signal: { anyOf: ['TopClientsTargetDown'], afterSeconds: 6 },
      async inject(injection) {
        const hanging = await roles(injection);
        for (const one of hanging) one.process.kill('SIGSTOP');
        return async () => {
          for (const one of hanging) one.process.kill('SIGCONT');
        };
      },
    },
  ];
});

/** Kills the role, and resolves when its process is gone. */
export async function killForSure(role: RoleUnderFault): Promise<void> {
  const { exited } = role.process;
  role.process.kill('SIGKILL');
  await exited;
}
