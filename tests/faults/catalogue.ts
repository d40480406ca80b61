import { clocks } from './clocks.ts';
import { crashes } from './crashes.ts';
import { disks } from './disks.ts';
import type { Fault } from './fault.ts';
import { messages } from './messages.ts';
import { network } from './network.ts';
import { servers } from './servers.ts';
import { sessions } from './sessions.ts';
import { steps } from './steps.ts';
import { strangers } from './strangers.ts';
import { tombstones } from './tombstones.ts';
import { views } from './views.ts';

/** Every fault there is. */
export const CATALOGUE: readonly Fault[] = [
  ...crashes,
  ...steps,
  ...messages,
  ...servers,
  ...network,
  ...disks,
  ...clocks,
  ...views,
  ...tombstones,
  ...sessions,
  ...strangers,
];
