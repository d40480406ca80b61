/** Roles whose clock is an hour off, by libfaketime (Debian's package `faketime`). */
import { existsSync } from 'node:fs';
import type { Fault } from './fault.ts';
import type { RoleName } from './world.ts';

const LIBRARY = ['x86_64', 'aarch64']
  .map((machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketime.so.1`)
  .find((file) => existsSync(file));

const ROLES: readonly RoleName[] = ['source', 'relay-1', 'projector-gig-1', 'page-gig'];

export const clocks: readonly Fault[] = ROLES.flatMap((name) =>
  (['+1h', '-1h'] as const).map(
    (offset): Fault => ({
      name: `clock-${name}${offset}`,
      about: `the clock of ${name} is off by ${offset}`,
      touches: name.split('-')[0]!,
      pages: name === 'page-gig' ? 'may be gone' : 'answer',
      seconds: [3, 6],
      missing: () => (LIBRARY ? null : 'libfaketime is missing: apt-get install faketime'),
      async inject({ world }) {
        const role = world.role(name);
        // Durations stay right, as on a machine with a wrong date.
        await role.restartWith({ LD_PRELOAD: LIBRARY!, FAKETIME: offset, FAKETIME_DONT_FAKE_MONOTONIC: '1' });
        return () => role.restartWith({});
      },
    }),
  ),
);
