import type { Trouble } from '../../runtime/conditions.ts';
import type { Operators } from '../gather.ts';

/** A sentence about operators whose namespaces overlap. */
export const overlap = (leads: string, wait: readonly string[]): string =>
  `the operator ${leads} works in this namespace, and ${wait.join(' and ')} would as well: it waits, changes nothing, and takes over two minutes after the other is gone. Take the namespace out of watchNamespaces of one of them, or uninstall it`;

export const overlapTroubles = ({ leads, wait }: Operators): readonly Trouble[] =>
  wait.length === 0 ? [] : [{ reason: 'OperatorsOverlap', message: overlap(leads, wait) }];
