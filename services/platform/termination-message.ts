/** From this file Kubernetes reads the termination message of a container, and shows it in the pod's status. */
export const TERMINATION_LOG = '/dev/termination-log';

/** The kubelet cuts a longer one off. */
const LONGEST = 4_000;

/**
 * Leaves a message where Kubernetes looks for it; does nothing elsewhere. Without one the status shows the end of the
 * log, with stacks in it.
 */
export function leaveTerminationMessage(text: string, file: string = TERMINATION_LOG): void {
  const { existsSync, writeFileSync } = process.getBuiltinModule('node:fs');
  if (existsSync(file)) writeFileSync(file, text.slice(0, LONGEST));
}
